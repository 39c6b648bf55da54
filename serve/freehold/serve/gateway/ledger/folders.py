"""Folders of the spool: one per life of a gateway process, locked as long as it lives.

    <root>/lock                        taken while a folder is made, taken over or removed
    <root>/<replica>.<random>/lock     held by the process that writes there, or that clears up after it
    <root>/<replica>.<random>/<number>.jsonl

The random part makes a folder's name, and with it the ids of its batches, new at every start: a replica that comes back
under its old name on an empty disk must not count from an id that the database has seen.
"""

import fcntl
import logging
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from freehold.core.errors import EnvironmentProblem

log = logging.getLogger("freehold.ledger")

SUFFIX = ".jsonl"
_LOCK = "lock"
_REPLICA = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")


class SpoolFolder:
    """A folder whose lock this process holds. The kernel releases it when the process ends, however that happens.

    A child made by `fork` alone would inherit the lock: open spools after forking.
    """

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    def segment(self, number: int) -> Path:
        """Where the segment of that number is, or will be."""
        return self.path / f"{number:08d}{SUFFIX}"

    def batch_id(self, segment: Path) -> str:
        """`<folder>-<number>`, never used before and never again."""
        return f"{self.path.name}-{segment.stem}"

    def segments(self) -> list[Path]:
        """Segments on the disk, oldest first."""
        return sorted(self.path.glob(f"*{SUFFIX}"))

    def sync(self) -> None:
        """Return when deletions are on the disk: after a power cut, no deleted segment comes back."""
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def remove(self) -> None:
        """Delete the folder, which has no segments any more, and let go of it."""
        try:
            with _alone(self.path.parent):
                (self.path / _LOCK).unlink(missing_ok=True)
                self.path.rmdir()
        except OSError as error:
            log.warning("The usage spool %s cannot be removed: %s", self.path, error)
        self.release()

    def release(self) -> None:
        """Let go of it; what is in it is taken over by whoever starts next on this disk."""
        os.close(self._lock)


def make_folder(root: Path, replica: str) -> SpoolFolder:
    """A new folder for one life of a replica. Raises EnvironmentProblem where nothing can be written."""
    assert _REPLICA.fullmatch(replica), f"{replica!r} cannot name a replica: it is a file name and part of a key"
    path = root / f"{replica}.{secrets.token_hex(4)}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _alone(root):
            path.mkdir()
            return SpoolFolder(path, _lock(path / _LOCK))
    except OSError as error:
        raise EnvironmentProblem(
            f"The usage spool {root} cannot be written",
            why=error.strerror or str(error),
            next_step="Give the gateway a data folder (FREEHOLD_HOME) that it may write to.",
        ) from error


def take_over(root: Path) -> list[SpoolFolder]:
    """Folders that dead processes have left; those of processes that live are left alone."""
    found = []
    with _alone(root):
        for path in sorted(root.iterdir()):
            if path.is_dir():
                try:
                    found.append(SpoolFolder(path, _lock(path / _LOCK)))
                except OSError as error:
                    if not isinstance(error, BlockingIOError):
                        log.warning("The usage spool %s cannot be read: %s", path, error)
    return found


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Nobody else makes, takes over or removes a folder inside the block."""
    descriptor = _lock(root / _LOCK, wait=True)
    try:
        yield
    finally:
        os.close(descriptor)


def _lock(path: Path, *, wait: bool = False) -> int:
    """A descriptor that holds the file's lock. Raises BlockingIOError if another process has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
