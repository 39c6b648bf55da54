"""Staging: where an artifact is put together, under a lock, before it enters the store in one rename."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout


@dataclass(frozen=True)
class Staging:
    """A folder that outlives a killed process, so that the next one goes on where it stopped."""

    root: Path

    @property
    def download(self) -> Path:
        """Fetched files; a file under its final name is whole and verified, `*.part` is not."""
        return self.root / "download"

    @property
    def result(self) -> Path:
        """What will become the artifact's folder."""
        return self.root / "result"

    def discard(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)


@contextmanager
def locked_staging(root: Path, lock: Path, on_wait: Callable[[], None] | None = None) -> Iterator[Staging]:
    """The staging folder under an exclusive lock that the kernel drops when its holder dies.

    `on_wait` is called once if another process holds it.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    guard = FileLock(lock)
    try:
        guard.acquire(timeout=0)
    except Timeout:
        if on_wait:
            on_wait()
        guard.acquire()
    try:
        staging = Staging(root)
        staging.download.mkdir(parents=True, exist_ok=True)
        yield staging
    finally:
        guard.release()
