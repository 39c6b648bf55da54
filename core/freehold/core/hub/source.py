"""What a source of models must do."""

from typing import Protocol

from freehold.core.hub.receive import Receiver
from freehold.core.hub.snapshot import RemoteFile, Snapshot
from freehold.core.progress import ByteProgress
from freehold.core.store import FileRecord

__all__ = ["RemoteFile", "Snapshot", "Source"]


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
