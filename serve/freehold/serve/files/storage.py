"""Where the bytes of files lie: `<home>/files/<id>`, under names that no client chooses.

Replicas that share a database have to share this folder too.
"""

import hashlib
import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from freehold.core.store.atomic import fsync_folder
from freehold.serve.state.files import FileRecord

INCOMING = "incoming"
RESULTS = "fine-tune-results"


class FileStorage:
    """The folder. Its methods block."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, record: FileRecord) -> Path:
        """Of a whole file. The ending says what it holds: readers of data go by it."""
        return self._path(record.id, record.purpose)

    def _path(self, file_id: str, purpose: str) -> Path:
        return self.root / f"{file_id}{'.csv' if purpose == RESULTS else '.jsonl'}"

    def receive(self, file_id: str) -> "Incoming":
        """A place for the bytes of a file that has room set aside."""
        folder = self.root / INCOMING
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Incoming(folder / f"{file_id}.jsonl")

    def keep(self, incoming: "Incoming", file_id: str, purpose: str) -> None:
        """Give it its place, on the disk for good."""
        os.replace(incoming.path, self._path(file_id, purpose))
        fsync_folder(self.root)

    def remove(self, file_id: str) -> None:
        """Delete the bytes of a file, wherever they are."""
        for path in (*self.root.glob(f"{file_id}.*"), *(self.root / INCOMING).glob(f"{file_id}.*")):
            path.unlink(missing_ok=True)

    def sweep(self, known: Collection[str], older_than: float) -> None:
        """Delete what no row tells of, as after a crash between the two; `older_than` is in epoch seconds."""
        for path in (*self.root.glob("file-*"), *(self.root / INCOMING).glob("file-*")):
            with suppress(FileNotFoundError):
                if path.stem not in known and path.stat().st_mtime < older_than:
                    path.unlink()


class Incoming:
    """A file being written, hashed as it comes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size_bytes = 0
        self._hash = hashlib.sha256()
        self._stream = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")

    def write(self, data: bytes) -> None:
        self._stream.write(data)
        self._hash.update(data)
        self.size_bytes += len(data)

    def close(self) -> str:
        """Flush it to the disk; its SHA-256."""
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        return self._hash.hexdigest()

    def drop(self) -> None:
        """Delete what has come."""
        self._stream.close()
        self.path.unlink(missing_ok=True)
