"""Which model of the catalogue an artifact is, or was made from."""

from freehold.core.manifest.catalogue import Catalogue
from freehold.core.manifest.model import ModelManifest
from freehold.core.manifest.origin import HubOrigin
from freehold.core.store import Artifact, Store


def manifest_of(artifact: Artifact, store: Store, catalogue: Catalogue) -> ModelManifest | None:
    """By where it was pulled from, itself or the first of its parents; None when no manifest says that place."""
    source = artifact.lineage.source
    if source:
        return manifest_at(source.kind, source.location, catalogue)
    for parent in artifact.lineage.parents:
        if found := store.find(parent):
            return manifest_of(found, store, catalogue)
    return None


def manifest_at(kind: str, location: str, catalogue: Catalogue) -> ModelManifest | None:
    """The page that says this place (`SourceRecord`'s kind and location), or None."""
    return next((each for each in catalogue if _is_from(each, kind, location)), None)


def _is_from(manifest: ModelManifest, kind: str, location: str) -> bool:
    origin = manifest.source
    if isinstance(origin, HubOrigin):
        variants = {variant.repo for variant in manifest.variants}
        return kind == "hub" and location in {origin.repo, *variants}
    return kind == origin.kind and location == origin.package
