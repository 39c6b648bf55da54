"""What the policies say of what is to be served."""

from freehold.core.errors import IntegrityError, PolicyError
from freehold.core.policy import Policies, facts_of
from freehold.core.progress import ByteBar
from freehold.core.store import Artifact, Store
from freehold.serve.config import ProcessEngine, ServedModel


def require_permission(policies: Policies, store: Store, artifact: Artifact, model: ServedModel) -> None:
    """Raises PolicyError with everything that the policies have against serving the artifact this way."""
    if policies:
        is_probed = not isinstance(model.engine, ProcessEngine) or model.engine.probe == "require"
        facts = facts_of(artifact, store, policies.catalogue, requires=model.requires, is_probed=is_probed)
        policies.enforce(facts, policies.stage, f"{artifact.id} may not be served")


def require_whole(store: Store, artifact: Artifact) -> None:
    """Read every file again. Raises IntegrityError on one that is not what the lineage says."""
    with ByteBar(f"Verifying {artifact.id}", artifact.size_bytes) as bar:
        problems = store.verify(artifact, bar.advance)
    if problems:
        raise IntegrityError(
            f"{artifact.id} is damaged",
            why="; ".join(f"{problem.path}: {problem.problem}" for problem in problems),
            next_step=f"Run `freehold store remove {artifact.id} --yes`, and pull it again.",
        )


class Forbidden:
    """What policies have against several models and adapters."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._next_steps: list[str] = []

    def add(self, place: str, error: PolicyError) -> None:
        """Take what is said of one; `place` is its path in the config."""
        self.lines += [f"{place}: {line}" for line in error.violations]
        self._next_steps.append(error.next_step)

    def refuse(self) -> None:
        """Raise PolicyError with all of it, if there is any."""
        if self.lines:
            steps = " ".join(dict.fromkeys(self._next_steps))
            raise PolicyError("The deployment may not be served", self.lines, next_step=steps)
