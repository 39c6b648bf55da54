"""The artifacts of a store for those who ask often: a lineage is read again only when its file has changed."""

import threading
from pathlib import Path

from freehold.core.errors import IntegrityError, NotFoundError
from freehold.core.store.artifact import Artifact
from freehold.core.store.lineage import LINEAGE_FILE, Lineage, read_lineage
from freehold.core.store.store import Store

Stamp = tuple[int, int, int]
"""Of a file: inode, time of the last change in nanoseconds, bytes. Lineages are replaced, never written into."""


class ArtifactIndex:
    """Safe for several threads."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.reads = 0
        """Lineages that were read from the disk so far."""
        self._known: dict[str, tuple[Stamp, Lineage]] = {}
        self._lock = threading.Lock()
        self.broken: list[str] = []
        """Why artifacts were left out of the last list."""

    def artifacts(self) -> list[Artifact]:
        """Every artifact whose lineage can be read, oldest first; `broken` tells of the others."""
        with self._lock:
            found, broken = [], []
            for folder in self._folders():
                try:
                    found.append(Artifact(folder, self._lineage(folder)))
                except FileNotFoundError:  # removed meanwhile, or half of it
                    continue
                except IntegrityError as error:
                    broken.append(str(error))
            self._known = {artifact.path.name: self._known[artifact.path.name] for artifact in found}
            self.broken = broken
        return sorted(found, key=lambda artifact: (artifact.lineage.created_at, artifact.id))

    def get(self, artifact_id: str) -> Artifact:
        """The artifact of this very id. Raises NotFoundError."""
        for artifact in self.artifacts():
            if artifact.id == artifact_id:
                return artifact
        raise NotFoundError(f"No artifact {artifact_id!r} in the store", next_step="See `freehold store list`.")

    def _folders(self) -> list[Path]:
        root = self.store.root / "artifacts"
        return list(root.iterdir()) if root.is_dir() else []

    def _lineage(self, folder: Path) -> Lineage:
        about = (folder / LINEAGE_FILE).stat()
        stamp = (about.st_ino, about.st_mtime_ns, about.st_size)
        known = self._known.get(folder.name)
        if known is None or known[0] != stamp:
            self.reads += 1
            known = self._known[folder.name] = (stamp, read_lineage(folder))
        return known[1]
