"""Which gates a model must have passed before it is served: what was made here must be proven here."""

from collections.abc import Iterator

from freehold.core.errors import RefusedError
from freehold.core.gates import GateName, require_evaluations, require_verdict
from freehold.core.store import Artifact, Store

GATES: dict[str, GateName] = {"merge": "parity", "quantize": "quality"}
"""By the name of the step that makes a model of another."""


def required_gates(artifact: Artifact) -> Iterator[GateName]:
    """The gate of the artifact's own last step; those of earlier ones were asked for when it was made."""
    steps = artifact.lineage.steps
    if artifact.lineage.kind == "model" and steps and steps[-1].name in GATES:
        yield GATES[steps[-1].name]


def require_gates(store: Store, artifact: Artifact, accept: tuple[str, ...], requires: tuple[str, ...] = ()) -> None:
    """Raises RefusedError unless the artifact has passed its gates, or `accept` names those that it has not.

    `requires` are suites that it must have been promoted with.
    """
    require_evaluations(artifact, requires)
    for gate in required_gates(artifact):
        if gate not in accept:
            try:
                require_verdict(
                    store,
                    artifact,
                    gate,
                    judge=f"freehold {gate} {artifact.id}",
                    accept=f"`accept: [{gate}]` (--accept-{gate})",
                )
            except RefusedError as error:
                raise RefusedError(
                    f"{artifact.id} may not be served", why=str(error), next_step=error.next_step
                ) from error
