"""What a source of models must do, and the registry of source kinds."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from freehold.core.hub.receive import Receiver
from freehold.core.progress import ByteProgress
from freehold.core.store import FileRecord


@dataclass(frozen=True)
class RemoteFile:
    """A file as the source promises it. At least its size is known before it is fetched."""

    path: str
    """POSIX path below the artifact's folder; never absolute, never with `..`."""
    size_bytes: int
    sha256: str | None = None
    """Promised SHA-256 (large files on a hub, manifests)."""
    git_blob_sha1: str | None = None
    """Promised git blob id (small files on a hub): SHA-1 over `blob <size>\\0` and the content."""


@dataclass(frozen=True)
class Snapshot:
    """One immutable revision of a model at its source."""

    kind: str
    location: str
    revision: str
    commit: str
    files: tuple[RemoteFile, ...]
    license: str = ""

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.location}@{self.commit}"

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)


class Source(Protocol):
    """One place a model can come from. A new kind is a file that implements this, added in `sources.py`."""

    def resolve(self) -> Snapshot:
        """Pin the revision that was asked for to an immutable one and list its files.

        Raises NotFoundError (no such model or revision), AccessDeniedError (gated, bad token), OfflineError.
        """

    def fetch(
        self, snapshot: Snapshot, files: tuple[RemoteFile, ...], receiver: Receiver, progress: ByteProgress
    ) -> tuple[FileRecord, ...]:
        """Bring `files` through the receiver, which hashes, verifies and resumes. Told of every new byte.

        Raises IntegrityError naming the file that differs, EnvironmentProblem (disk full), OfflineError.
        """
