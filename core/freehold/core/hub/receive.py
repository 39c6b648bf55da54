"""Receiving: every file that a source fetches is written, hashed, verified and resumed here."""

import fcntl
import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from types import TracebackType

from freehold.core.errors import EnvironmentProblem, IntegrityError, RefusedError
from freehold.core.hub.disk import check_disk, explained_when_full
from freehold.core.hub.hashing import Digests, ParallelHash
from freehold.core.hub.journal import Journal
from freehold.core.hub.snapshot import RemoteFile
from freehold.core.store.atomic import fsync_folder
from freehold.core.store.digest import FileRecord

__all__ = ["Incoming", "Receiver", "check_disk"]

PARTIAL = ".part"
WRITE_BEHIND_BYTES = 32 << 20
"""How much is written before the disk is set to work on it; otherwise all of it waits for the fsync at the end."""


class Receiver:
    """Writes fetched files below `root`. A file under its final name is whole and verified; `*.part` is not.

    Survives a kill at any point: the partial and the journal beside `root` are all the state there is.
    Several threads may receive different files at once; processes are kept apart by the staging lock.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self._journal = Journal(root.with_name(f"{root.name}.journal"))

    def done(self, file: RemoteFile) -> FileRecord | None:
        """The record of a file that was received and verified earlier, against the same promises."""
        target = self._target(file)
        record = self._journal.find(file)
        whole = record is not None and target.is_file() and target.stat().st_size == record.size_bytes
        return record if whole else None

    def missing_bytes(self, files: Iterable[RemoteFile]) -> int:
        """How much is still to be fetched: what neither a finished file nor a partial holds."""
        return sum(file.size_bytes - self._held(file) for file in files)

    def begin(self, file: RemoteFile) -> "Incoming":
        """Open the partial of a file; use as a context manager. Leaving without `finish` keeps it for a resume.

        Raises RefusedError (a path that leads out of `root`), EnvironmentProblem (another process receives it).
        """
        return Incoming(file, self._target(file), self._journal)

    def _held(self, file: RemoteFile) -> int:
        if self.done(file):
            return file.size_bytes
        partial = _partial(self._target(file))
        held = partial.stat().st_size if partial.is_file() else 0
        return held if held <= file.size_bytes else 0

    def _target(self, file: RemoteFile) -> Path:
        parts = file.path.split("/")
        unsafe = any(part in ("", ".", "..") for part in parts) or "\\" in file.path or "\0" in file.path
        if unsafe or PurePosixPath(file.path).is_absolute() or file.path.endswith(PARTIAL):
            raise RefusedError(
                f"The source lists a file named {file.path!r}",
                why="only relative paths below the model's folder, not ending in .part, are written",
                next_step="Do not use this source before its owner has explained that name.",
            )
        return self.root.joinpath(*parts)


class Incoming:
    """One file on its way in. Not to be shared between threads."""

    def __init__(self, file: RemoteFile, target: Path, journal: Journal) -> None:
        self._file = file
        self._target = target
        self._partial = _partial(target)
        self._journal = journal
        target.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = _open_alone(self._partial)
        held = os.fstat(self._descriptor).st_size
        if held > file.size_bytes:
            os.ftruncate(self._descriptor, 0)
            held = 0
        self.offset = os.lseek(self._descriptor, held, os.SEEK_SET)
        """Bytes that are in the partial already; the source goes on from here."""
        self._written = self._advised = held
        self._hash = ParallelHash(
            self._partial, already=held, size_bytes=file.size_bytes, git_blob=file.git_blob_sha1 is not None
        )

    def __enter__(self) -> "Incoming":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hash.abandon()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def caught_up(self, timeout_s: float) -> bool:
        """Whether the partial is hashed; until then `write` soon blocks. Waits at most so long."""
        return self._hash.caught_up(timeout_s)

    def write(self, block: bytes | memoryview) -> None:
        """Append a block; it is with the kernel when this returns, so a kill does not lose it.

        A view of a writable buffer is copied for the hash, so the caller may use it again at once. Raises
        IntegrityError as soon as more arrives than was promised.
        """
        if self._written + len(block) > self._file.size_bytes:
            self._discard(f"more than the promised {self._file.size_bytes} bytes arrived")
        if isinstance(block, memoryview) and not block.readonly:
            block = bytes(block)
        self._hash.add(block)
        rest = memoryview(block)
        with explained_when_full(self._partial, self._file.size_bytes - self._written):
            while rest:
                count = os.write(self._descriptor, rest)
                self._written += count
                rest = rest[count:]
            self._start_writeback()

    def finish(self) -> FileRecord:
        """Verify, make durable, and give the file its final name.

        Raises IntegrityError naming the file; a corrupt partial is deleted, a short one is kept for a resume.
        """
        file = self._file
        if self._written < file.size_bytes:
            raise IntegrityError(
                f"{file.path} is incomplete",
                why=f"{self._written} of {file.size_bytes} bytes arrived",
                next_step="Run the same command again: it goes on where it stopped.",
            )
        digests = self._hash.result()
        self._verify(digests)
        record = FileRecord(path=file.path, size_bytes=file.size_bytes, sha256=digests.sha256)
        with explained_when_full(self._partial, 0):
            os.fdatasync(self._descriptor)
            # Journal first: a file under its final name always has its line.
            self._journal.append(record, digests.git_blob_sha1)
            self._partial.replace(self._target)
            fsync_folder(self._target.parent)
        return record

    def _start_writeback(self) -> None:
        # Of all that Python offers, only this advice starts writing without waiting for it. Pages still dirty or on
        # their way to the disk stay in the cache.
        span = self._written - self._advised
        if span >= WRITE_BEHIND_BYTES:
            os.posix_fadvise(self._descriptor, self._advised, span, os.POSIX_FADV_DONTNEED)
            self._advised = self._written

    def _verify(self, found: Digests) -> None:
        promises = (
            ("sha256", self._file.sha256, found.sha256),
            ("git blob id", self._file.git_blob_sha1, found.git_blob_sha1),
        )
        for name, expected, received in promises:
            if expected is not None and expected != received:
                self._discard(f"its {name} should be {expected} and is {received}")

    def _discard(self, why: str) -> None:
        self._partial.unlink()
        raise IntegrityError(
            f"{self._file.path} is corrupt",
            why=why,
            next_step="It was deleted. Run the same command again to fetch it anew; if it happens again, the copy "
            "at the source or a proxy in between is damaged.",
        )


def _partial(target: Path) -> Path:
    return target.with_name(target.name + PARTIAL)


def _open_alone(path: Path) -> int:
    """Open for appending under a lock that the kernel drops with the process: two writers would mix their bytes."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise EnvironmentProblem(
            f"{path} is being written by another process",
            why="two writers would mix their bytes",
            next_step="Wait until the other pull has ended, then run the same command again.",
        ) from error
    return descriptor
