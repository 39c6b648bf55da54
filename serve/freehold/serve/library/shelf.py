"""The catalogue for those who ask often: a manifest of the user's own is read again only when its file has changed."""

from pathlib import Path

from freehold.core.errors import ConfigError, NotFoundError
from freehold.core.manifest import Catalogue, ModelManifest, load_catalogue
from freehold.core.manifest.catalogue import read_manifest
from freehold.core.remembered import Remembered


class Shelf:
    """What ships, and over it the user's own. Safe for several threads."""

    def __init__(self, own: Path) -> None:
        self._own = own
        self._manifests: Remembered[ModelManifest | list[str]] = Remembered(_readable)

    @property
    def reads(self) -> int:
        """Manifests that were read from the disk so far."""
        return self._manifests.reads

    def catalogue(self) -> tuple[Catalogue, list[str]]:
        """Every manifest that can be used, and what is wrong with the others."""
        own: dict[str, ModelManifest] = {}
        problems: list[str] = []
        paths = sorted(self._own.glob("*.yaml")) if self._own.is_dir() else []
        for path in paths:
            try:
                found = self._manifests.of(path)
            except (FileNotFoundError, NotFoundError):  # removed meanwhile
                continue
            if isinstance(found, ModelManifest):
                own[found.id] = found
            else:
                problems += found
        self._manifests.keep(set(paths))
        return load_catalogue().with_own(Catalogue(own)), problems


def _readable(path: Path) -> ModelManifest | list[str]:
    """The manifest, or what is wrong with it."""
    try:
        return read_manifest(path)
    except ConfigError as error:
        return [f"{path.name}: {problem}" for problem in error.problems]
