"""Models from a local folder in Hugging Face layout, or from one GGUF file."""

import hashlib
from pathlib import Path

from freehold.core.errors import NotFoundError
from freehold.core.hub.receive import Receiver
from freehold.core.hub.snapshot import RemoteFile, Snapshot
from freehold.core.progress import ByteProgress
from freehold.core.store import FileRecord
from freehold.core.store.digest import READ_BYTES

KIND = "path"


class PathSource:
    """A folder or a `.gguf` file. Copied into the store; the original is left as it is."""

    def __init__(self, path: Path) -> None:
        self._path = path.expanduser().absolute()

    def resolve(self) -> Snapshot:
        if not self._path.exists():
            raise NotFoundError(
                f"No file or folder {self._path}", next_step="Check the path; `ls` shows what is there."
            )
        found = [(path.relative_to(self._root).as_posix(), path.stat()) for path in self._files()]
        if not found:
            raise NotFoundError(f"{self._path} is empty", next_step="Name a folder that holds a model.")
        # A folder has no commit. Names, sizes and times tell whether it is the one that was copied before,
        # without reading 100 GB to find out; the lock holds the digests.
        seen = "\n".join(f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}" for name, stat in found)
        return Snapshot(
            kind=KIND,
            location=str(self._path),
            revision="",
            commit=hashlib.sha256(seen.encode()).hexdigest()[:40],
            files=tuple(RemoteFile(name, stat.st_size) for name, stat in found),
        )

    def fetch(
        self, snapshot: Snapshot, files: tuple[RemoteFile, ...], receiver: Receiver, progress: ByteProgress
    ) -> tuple[FileRecord, ...]:
        return tuple(receiver.done(file) or self._copy(file, receiver, progress) for file in files)

    def _copy(self, file: RemoteFile, receiver: Receiver, progress: ByteProgress) -> FileRecord:
        with receiver.begin(file) as incoming, (self._root / file.path).open("rb", buffering=0) as stream:
            stream.seek(incoming.offset)
            while block := stream.read(READ_BYTES):
                incoming.write(block)
                progress.advance(len(block))
            return incoming.finish()

    @property
    def _root(self) -> Path:
        return self._path if self._path.is_dir() else self._path.parent

    def _files(self) -> list[Path]:
        if self._path.is_file():
            return [self._path]
        visible = (path for path in self._path.rglob("*") if path.is_file())
        return sorted(path for path in visible if not _is_hidden(path.relative_to(self._path)))


def _is_hidden(relative: Path) -> bool:
    return any(part.startswith(".") for part in relative.parts)
