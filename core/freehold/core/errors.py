"""The one tree of errors. Each class says once which exit code and which HTTP status it means.

A message has three parts: what failed (with the value), why, and what to type next.
"""


class FreeholdError(Exception):
    """Root of everything Freehold raises on purpose; anything else that escapes is a bug."""

    exit_code = 1
    http_status = 500
    code = "internal_error"
    """Stable identifier, used as `code` in API error envelopes."""

    def __init__(self, what: str, *, why: str = "", next_step: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.what}: {self.why}" if self.why else self.what


class UserError(FreeholdError):
    """The request, the command line or a file that the user wrote is wrong."""

    exit_code = 2
    http_status = 400
    code = "invalid_request"


class ConfigError(UserError):
    """A config file is wrong; `problems` holds every problem found, each with its path."""

    code = "invalid_config"

    def __init__(self, what: str, problems: list[str], *, next_step: str = "") -> None:
        super().__init__(what, why="\n".join(f"  - {problem}" for problem in problems), next_step=next_step)
        self.problems = problems

    def __str__(self) -> str:
        return f"{self.what}:\n{self.why}"


class NotFoundError(UserError):
    """A model, artifact, file or environment that was named does not exist."""

    exit_code = 3
    http_status = 404
    code = "not_found"


class RefusedError(UserError):
    """Possible, but unsafe or unproven; the message names the flag that would allow it."""

    exit_code = 4
    http_status = 403
    code = "refused"


class PolicyError(UserError):
    """A policy forbids it; `violations` holds one line for each, with the rule's name and the policy's file."""

    exit_code = 10
    http_status = 403
    code = "policy"

    def __init__(self, what: str, violations: list[str], *, next_step: str = "") -> None:
        several = "".join(f"\n  - {line}" for line in violations)
        super().__init__(what, why=violations[0] if len(violations) == 1 else several, next_step=next_step)
        self.violations = violations

    def __str__(self) -> str:
        return f"{self.what}:{'' if len(self.violations) > 1 else ' '}{self.why}"


class IntegrityError(FreeholdError):
    """Bytes differ from what was promised: a corrupt file, a lock that no longer holds."""

    exit_code = 5
    code = "integrity"


class GateError(FreeholdError):
    """A gate between two steps (probe, parity, quality, replay) did not pass."""

    exit_code = 6
    code = "gate_failed"


class EnvironmentProblem(FreeholdError):
    """The machine lacks something: disk, a package, a GPU, a free port."""

    exit_code = 7
    http_status = 503
    code = "environment"


class RemoteError(FreeholdError):
    """A service that we depend on refused or did not answer: a hub, an upstream."""

    exit_code = 8
    http_status = 502
    code = "upstream_error"


class AccessDeniedError(RemoteError):
    """The remote side knows us not, or not well enough: a gated repository, a bad token."""

    http_status = 403
    code = "access_denied"


class OfflineError(RemoteError):
    """The network was needed while `--offline` forbids it, or it cannot be reached."""

    http_status = 503
    code = "offline"


class EngineError(FreeholdError):
    """An engine did not start, died, or does not answer."""

    exit_code = 9
    http_status = 503
    code = "engine_error"
