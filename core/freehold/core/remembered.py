"""Files that are read again only when they have changed, for those who look often."""

import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Generic, TypeVar

Read = TypeVar("Read")
Stamp = tuple[int, int, int]
"""Inode, time of the last change in nanoseconds, bytes. What is written into within one tick, to the same length,
would not show; files of this house are replaced or appended to."""


class Remembered(Generic[Read]):
    """What `read` makes of files. Safe for several threads."""

    def __init__(self, read: Callable[[Path], Read]) -> None:
        self._read = read
        self._known: dict[Path, tuple[Stamp, Read]] = {}
        self._lock = threading.Lock()
        self.reads = 0
        """Files that were read so far."""

    def of(self, path: Path) -> Read:
        """What is in the file now. Raises FileNotFoundError, and what `read` raises."""
        about = path.stat()
        stamp = (about.st_ino, about.st_mtime_ns, about.st_size)
        with self._lock:  # also while it is read: who comes meanwhile waits for that, and does not read it again
            known = self._known.get(path)
            if known is not None and known[0] == stamp:
                return known[1]
            found = self._read(path)
            self.reads += 1
            self._known[path] = (stamp, found)
        return found

    def keep(self, paths: Collection[Path]) -> None:
        """Forget all other files."""
        with self._lock:
            self._known = {path: known for path, known in self._known.items() if path in paths}
