"""Where a policy is enforced."""

from enum import StrEnum


class Stage(StrEnum):
    """A step that a policy may forbid."""

    PULL = "pull"
    PROMOTE = "promote"
    REHEARSE = "rehearse"
    """Served on loopback so that it can be evaluated: what an evaluation or a gate has to show is not asked yet."""
    SERVE = "serve"
