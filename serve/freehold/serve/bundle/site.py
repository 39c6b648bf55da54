"""What bundles have left on this machine beside the store: `bundles/<name>/`, with the index that says which one."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from freehold.core.errors import RefusedError
from freehold.core.settings import Settings
from freehold.core.store.atomic import fsync_folder
from freehold.serve.bundle.index import INDEX, BundleIndex, read_index


@dataclass(frozen=True)
class Site:
    """The place of one bundle by name."""

    folder: Path

    @classmethod
    def of(cls, name: str, settings: Settings) -> "Site":
        return cls(settings.bundles_root / name)

    def installed(self) -> BundleIndex | None:
        """The index of what is installed. Raises IntegrityError if it is unreadable."""
        # A kill in the middle of `take` may have left only what was there before, under its other name.
        paths = (self.folder / INDEX, self._old / INDEX)
        found = next((path for path in paths if path.is_file()), None)
        return read_index(found.read_bytes()) if found else None

    @property
    def _old(self) -> Path:
        return self.folder.with_name(f".{self.folder.name}.old")

    def require_not_older(self, index: BundleIndex, *, force: bool) -> None:
        """Raises RefusedError for a bundle that was made before the installed one."""
        known = self.installed()
        if known is not None and known.created_at > index.created_at and not force:
            raise RefusedError(
                f"The bundle {index.name} of {index.created_at:%Y-%m-%d %H:%M:%S} is older than the installed one",
                why=f"that is of {known.created_at:%Y-%m-%d %H:%M:%S}, and going back undoes what was mended since",
                next_step="Install the newer one, or go back with --force.",
            )

    def incoming(self, index_sha256: str) -> Path:
        """Where members are put until all are there; of this very bundle, so that an interrupted install goes on."""
        return self.folder.with_name(f".{self.folder.name}.{index_sha256[:12]}.incoming")

    def take(self, incoming: Path) -> None:
        """Put what has come in in the place of what was there."""
        if self.folder.exists():
            shutil.rmtree(self._old, ignore_errors=True)
            os.replace(self.folder, self._old)
        os.replace(incoming, self.folder)
        fsync_folder(self.folder.parent)
        shutil.rmtree(self._old, ignore_errors=True)
        for other in self.folder.parent.glob(f".{self.folder.name}.*.incoming*"):
            if other.is_dir():
                shutil.rmtree(other, ignore_errors=True)
            else:
                other.unlink(missing_ok=True)
