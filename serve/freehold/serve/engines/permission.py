"""What the policies say of what is to be served."""

from collections.abc import Iterator

from freehold.core.errors import IntegrityError, PolicyError
from freehold.core.manifest import Catalogue
from freehold.core.policy import Facts, Policies, facts_of
from freehold.core.progress import ByteBar
from freehold.core.store import Artifact, Store
from freehold.serve.config import DeploymentConfig, RemoteEngine, ServedModel, VllmEngine


def require_permission(policies: Policies, store: Store, artifact: Artifact, model: ServedModel) -> None:
    """Raises PolicyError with everything that the policies have against serving the artifact this way."""
    if policies:
        facts = facts_of_model(store, artifact, model, policies.catalogue)
        policies.enforce(facts, policies.stage, f"{artifact.id} may not be served")


def facts_of_model(store: Store, artifact: Artifact, model: ServedModel, catalogue: Catalogue) -> Facts:
    """What policies judge of an artifact that a deployment serves this way."""
    is_probed = not isinstance(model.engine, VllmEngine) or model.engine.probe == "require"
    return facts_of(artifact, store, catalogue, requires=model.requires, is_probed=is_probed)


def facts_of_deployment(config: DeploymentConfig, store: Store, catalogue: Catalogue) -> Iterator[tuple[str, Facts]]:
    """What policies judge of every model and adapter that a config names. Raises NotFoundError."""
    for name, model in config.models.items():
        if isinstance(model.engine, RemoteEngine) or model.artifact is None:
            continue
        artifact = store.get(model.artifact)
        yield name, facts_of_model(store, artifact, model, catalogue)
        for adapter, served in (model.adapters or {}).items():
            yield adapter, facts_of(store.get(served.artifact), store, catalogue, base=artifact)


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


class Permissions:
    """Asks the policies about every model and adapter of a deployment, and refuses all at once."""

    def __init__(self, policies: Policies, store: Store) -> None:
        self.policies = policies
        self.lines: list[str] = []
        """What was forbidden so far, each with its path in the config."""
        self._store = store
        self._next_steps: list[str] = []

    def ask(self, name: str, model: ServedModel, artifact: Artifact) -> None:
        """Whether the model may be served; what is against it is kept for `refuse`."""
        try:
            require_permission(self.policies, self._store, artifact, model)
        except PolicyError as error:
            self.add(f"models.{name}", error)

    def add(self, place: str, error: PolicyError) -> None:
        """Take what is said of one; `place` is its path in the config."""
        self.lines += [f"{place}: {line}" for line in error.violations]
        self._next_steps.append(error.next_step)

    def refuse(self) -> None:
        """Raise PolicyError with all of it, if there is any."""
        if self.lines:
            steps = " ".join(dict.fromkeys(self._next_steps))
            raise PolicyError("The deployment may not be served", self.lines, next_step=steps)
