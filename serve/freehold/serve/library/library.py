"""The library of one gateway process."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from freehold.core.manifest import Catalogue, ModelManifest
from freehold.core.manifest.origin import HubOrigin
from freehold.core.settings import Settings
from freehold.core.store import Artifact, Store
from freehold.core.store.index import ArtifactIndex
from freehold.serve.engines.engine import Engine, EngineState
from freehold.serve.library.fitness import Measure
from freehold.serve.library.lineage import Serving
from freehold.serve.library.shelf import Shelf


@dataclass(frozen=True)
class Kinship:
    """Which models of the catalogue the artifacts are, or were made from."""

    by_artifact: Mapping[str, ModelManifest]
    """By the artifact's id; those of a place that no manifest names are left out."""

    def pulled(self) -> dict[str, list[str]]:
        """Ids of artifacts by the model that they are, or were made from."""
        found: dict[str, list[str]] = {}
        for artifact_id, manifest in self.by_artifact.items():
            found.setdefault(manifest.id, []).append(artifact_id)
        return found


class Library:
    """Catalogue, artifacts and engines, for pages that are asked often. It reads the disk: ask it on a thread."""

    def __init__(self, settings: Settings, engines: Mapping[str, Engine]) -> None:
        self.store = Store(settings.store_root)
        self.shelf = Shelf(settings.manifests_root)
        self.index = ArtifactIndex(self.store)
        self.measure = Measure()
        self._engines = engines

    def read_ahead(self) -> None:
        """Read what pages are made of; of a large house that takes a second or two."""
        self.shelf.catalogue()
        self.index.artifacts()

    def serving(self) -> list[Serving]:
        """What serves which artifact now."""
        return [_serving(engine) for _, engine in sorted(self._engines.items()) if _artifact_of(engine)]


def kinship(artifacts: Sequence[Artifact], catalogue: Catalogue) -> Kinship:
    """As `core.manifest.kinship` finds it, for all at once: one pass over the manifests, one over the artifacts."""
    places: dict[tuple[str, str], ModelManifest] = {}
    for manifest in catalogue:
        for place in _places(manifest):
            places.setdefault(place, manifest)
    found: dict[str, ModelManifest] = {}
    for artifact in artifacts:  # the oldest first, so parents before their children
        source = artifact.lineage.source
        if source:
            manifest_of = places.get((source.kind, source.location))
        else:
            manifest_of = next((found[parent] for parent in artifact.lineage.parents if parent in found), None)
        if manifest_of:
            found[artifact.id] = manifest_of
    return Kinship(found)


def _places(manifest: ModelManifest) -> list[tuple[str, str]]:
    origin = manifest.source
    if isinstance(origin, HubOrigin):
        return [("hub", repo) for repo in (origin.repo, *(variant.repo for variant in manifest.variants))]
    return [(origin.kind, origin.package)]


def _artifact_of(engine: Engine) -> str:
    adapter = engine.adapter
    return engine.artifact_id if adapter is None else adapter.serving or adapter.wanted


def _serving(engine: Engine) -> Serving:
    is_ready = engine.state is EngineState.READY
    return Serving(engine.name, _artifact_of(engine), is_ready, engine.detail, engine.fingerprint)
