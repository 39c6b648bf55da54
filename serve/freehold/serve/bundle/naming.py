"""Which artifacts a deployment names, found in the store all at once."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from freehold.core.errors import ConfigError
from freehold.core.hub.lockfile import LockContent, LockedModel
from freehold.core.store import Artifact, SourceRecord, Store
from freehold.serve.config import DeploymentConfig
from freehold.serve.deploying.checking import named_artifacts


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
