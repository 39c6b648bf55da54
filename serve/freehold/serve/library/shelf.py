"""The catalogue for those who ask often: a manifest of the user's own is read again only when its file has changed."""

import threading
from pathlib import Path

from freehold.core.errors import ConfigError
from freehold.core.manifest import Catalogue, ModelManifest, load_catalogue
from freehold.core.manifest.catalogue import read_manifest

Stamp = tuple[int, int, int]


class Shelf:
    """What ships, and over it the user's own. Safe for several threads."""

    def __init__(self, own: Path) -> None:
        self._own = own
        self._read: dict[str, tuple[Stamp, ModelManifest | list[str]]] = {}
        self._lock = threading.Lock()
        self.reads = 0
        """Manifests that were read from the disk so far."""

    def catalogue(self) -> tuple[Catalogue, list[str]]:
        """Every manifest that can be used, and what is wrong with the others."""
        with self._lock:
            self._refresh()
            found = [read for _, read in self._read.values()]
        own = {each.id: each for each in found if isinstance(each, ModelManifest)}
        problems = [problem for each in found if isinstance(each, list) for problem in each]
        return load_catalogue().with_own(Catalogue(own)), problems

    def _refresh(self) -> None:
        paths = sorted(self._own.glob("*.yaml")) if self._own.is_dir() else []
        kept = {}
        for path in paths:
            try:
                about = path.stat()
            except FileNotFoundError:  # removed meanwhile
                continue
            stamp = (about.st_ino, about.st_mtime_ns, about.st_size)
            known = self._read.get(path.name)
            kept[path.name] = known if known and known[0] == stamp else (stamp, self._taken(path))
        self._read = kept

    def _taken(self, path: Path) -> ModelManifest | list[str]:
        self.reads += 1
        try:
            return read_manifest(path)
        except ConfigError as error:
            return [f"{path.name}: {problem}" for problem in error.problems]
