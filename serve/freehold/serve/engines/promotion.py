"""Which gates a model must have passed before it is served: what was made here must be proven here."""

from collections.abc import Iterator

from freehold.core.errors import RefusedError
from freehold.core.gates import GateName, gates_of, require_evaluations, require_verdict
from freehold.core.store import Artifact, Store


def required_gates(artifact: Artifact) -> Iterator[GateName]:
    """Of a model; an adapter is judged when it is admitted to an engine."""
    if artifact.lineage.kind == "model":
        yield from gates_of(artifact)


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
