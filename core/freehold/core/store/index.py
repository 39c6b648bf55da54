"""The artifacts of a store for those who ask often: a lineage is read again only when its file has changed."""

from pathlib import Path

from freehold.core.errors import IntegrityError, NotFoundError
from freehold.core.remembered import Remembered
from freehold.core.store.artifact import Artifact
from freehold.core.store.lineage import LINEAGE_FILE, Lineage, read_lineage
from freehold.core.store.store import Store


class ArtifactIndex:
    """Safe for several threads."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._lineages: Remembered[Lineage | str] = Remembered(_readable)

    @property
    def reads(self) -> int:
        """Lineages that were read from the disk so far."""
        return self._lineages.reads

    def artifacts(self) -> list[Artifact]:
        """Every artifact whose lineage can be read, oldest first."""
        return self.look()[0]

    def look(self) -> tuple[list[Artifact], list[str]]:
        """The same, and why others were left out."""
        found, broken, seen = [], [], set[Path]()
        for folder in self._folders():
            path = folder / LINEAGE_FILE
            try:
                lineage = self._lineages.of(path)
            except (FileNotFoundError, NotADirectoryError):  # removed meanwhile, or half of it
                continue
            seen.add(path)
            if isinstance(lineage, str):
                broken.append(lineage)
            else:
                found.append(Artifact(folder, lineage))
        self._lineages.keep(seen)
        return sorted(found, key=lambda artifact: (artifact.lineage.created_at, artifact.id)), broken

    def get(self, artifact_id: str) -> Artifact:
        """The artifact of this very id. Raises NotFoundError."""
        for artifact in self.artifacts():
            if artifact.id == artifact_id:
                return artifact
        raise NotFoundError(f"No artifact {artifact_id!r} in the store", next_step="See `freehold store list`.")

    def _folders(self) -> list[Path]:
        root = self.store.root / "artifacts"
        return list(root.iterdir()) if root.is_dir() else []


def _readable(path: Path) -> Lineage | str:
    """The lineage, or why it cannot be read."""
    try:
        return read_lineage(path.parent)
    except IntegrityError as error:
        return str(error)
