"""Which artifacts a deployment names, found in the store all at once."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from freehold.core.errors import ConfigError, FreeholdError
from freehold.core.hub.lockfile import LockContent, LockedModel
from freehold.core.store import Artifact, SourceRecord, Store
from freehold.serve.adapters.admission import admit, lora_rank_of
from freehold.serve.config import DeploymentConfig, VllmEngine
from freehold.serve.deploying.checking import named_artifacts
from freehold.serve.engines.promotion import require_gates


@dataclass(frozen=True)
class NamedArtifact:
    """An artifact, and how the config names it."""

    artifact: Artifact
    references: tuple[str, ...]


def find_named(config: DeploymentConfig, store: Store) -> list[NamedArtifact]:
    """Every model and adapter of the config, each once. Raises ConfigError listing all that the store lacks."""
    found: dict[str, tuple[Artifact, list[str]]] = {}
    problems = []
    for place, reference in named_artifacts(config):
        artifact = store.find(reference)
        if artifact is None:
            where = place.removeprefix("deployment.")
            problems.append(f"{where}: {reference} is not in the store; run `freehold pull {reference}`")
            continue
        _, references = found.setdefault(artifact.id, (artifact, []))
        if reference not in references:
            references.append(reference)
    if problems:
        raise ConfigError("Not everything that the config names is here", problems)
    return [NamedArtifact(artifact, tuple(references)) for artifact, references in found.values()]


def require_servable(config: DeploymentConfig, store: Store) -> None:
    """Raises ConfigError listing every gate that `freehold serve` would refuse inside, where nothing can be done."""
    problems = []
    for name, model in config.models.items():
        if not isinstance(model.engine, VllmEngine) or model.artifact is None:
            continue
        base = store.get(model.artifact)
        try:
            require_gates(store, base, model.accept, model.requires)
        except FreeholdError as error:
            problems.append(f"models.{name}: {error}. {error.next_step}".rstrip())
        rank = lora_rank_of(model, store)
        for adapter, served in (model.adapters or {}).items():
            assert rank is not None, "the config refuses adapters of other engines"
            try:
                admit(store, base, served.artifact, accept=served.accept, max_rank=rank)
            except FreeholdError as error:
                problems.append(f"models.{name}.adapters.{adapter}: {error}. {error.next_step}".rstrip())
    if problems:
        raise ConfigError("What is in the bundle could not be served from it", problems)


def locks_of(artifacts: Iterable[Artifact], known: LockContent) -> LockContent:
    """A lock of these artifacts alone: under the names that `known` has them, else under those of their sources."""
    return LockContent(models=dict(sorted(_locked(artifacts, known))))


def _locked(artifacts: Iterable[Artifact], known: LockContent) -> Iterator[tuple[str, LockedModel]]:
    for artifact in artifacts:
        source = artifact.lineage.source
        if source is not None:
            yield (
                _typed(source, known),
                LockedModel(
                    kind=source.kind,
                    location=source.location,
                    revision=source.revision,
                    commit=source.commit,
                    files=source.files,
                ),
            )


def _typed(source: SourceRecord, known: LockContent) -> str:
    same = (source.kind, source.location, source.commit)
    named = (name for name, one in known.models.items() if (one.kind, one.location, one.commit) == same)
    return next(named, source.location)
