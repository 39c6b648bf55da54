"""What bundles have left on this machine beside the store: `bundles/<name>/`, with the index that says which one."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from freehold.core.errors import RefusedError
from freehold.core.settings import Settings
from freehold.core.store import hash_file
from freehold.core.store.atomic import fsync_folder
from freehold.serve.bundle.index import INDEX, SIGNATURE, BundleIndex, Member, read_index

HASHED_BYTES = 64 << 20
"""Nobody edits by hand what is larger; there the size tells enough."""


@dataclass(frozen=True)
class KeptSite:
    """A folder as it was before an install, with what somebody had changed in it."""

    folder: Path
    changed: tuple[str, ...]


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

    def changed_files(self) -> tuple[str, ...]:
        """Paths that somebody has edited or added here since the install."""
        index = self.installed()
        if index is None or not self.folder.is_dir():
            return ()
        known = {member.path: member for member in index.members}
        names = (path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file())
        return tuple(
            name
            for name in sorted(names)
            if name not in (INDEX, SIGNATURE) and _is_changed(self.folder / name, known.get(name))
        )

    def take(self, incoming: Path) -> "KeptSite | None":
        """Put what has come in in the place of what was there, which is kept if somebody has changed it."""
        kept = None
        if self.folder.exists():
            changed = self.changed_files()
            shutil.rmtree(self._old, ignore_errors=True)
            if changed:
                kept = KeptSite(self._free_name(), changed)
                shutil.copytree(self.folder, kept.folder, copy_function=_link)
            os.replace(self.folder, self._old)
        os.replace(incoming, self.folder)
        fsync_folder(self.folder.parent)
        shutil.rmtree(self._old, ignore_errors=True)
        for other in self.folder.parent.glob(f".{self.folder.name}.*.incoming*"):
            if other.is_dir():
                shutil.rmtree(other, ignore_errors=True)
            else:
                other.unlink(missing_ok=True)
        return kept

    def _free_name(self) -> Path:
        number = 1
        while (found := self.folder.with_name(f"{self.folder.name}.before-{number}")).exists():
            number += 1
        return found


def _is_changed(path: Path, member: Member | None) -> bool:
    if member is None or path.stat().st_size != member.size_bytes:
        return True
    return member.size_bytes <= HASHED_BYTES and hash_file(path) != member.sha256


def _link(source: str, target: str) -> None:
    """The same file under another name: no second copy of wheels and images."""
    os.link(source, target)
