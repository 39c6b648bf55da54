"""Which gate an artifact has to pass: what was made here must be proven here."""

from collections.abc import Iterator

from freehold.core.gates.verdict import GateName
from freehold.core.store import Artifact

_BY_STEP: dict[str, GateName] = {"merge": "parity", "quantize": "quality"}
"""By the name of the step that makes a model of another."""


def gates_of(artifact: Artifact) -> Iterator[GateName]:
    """The gate of its own last step, those of earlier ones were asked for when it was made; parity of every adapter."""
    steps = artifact.lineage.steps
    if artifact.lineage.kind == "adapter":
        yield "parity"
    elif steps and steps[-1].name in _BY_STEP:
        yield _BY_STEP[steps[-1].name]
