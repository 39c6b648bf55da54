"""The write-ahead spool: entries on the disk before the database has them.

An entry is one `write` to the page cache: the kernel has it then, and it outlives the process, however that is killed.
It is not synced: a power cut or a crash of the kernel may lose what was not written back, which is the last second of
entries as long as the database keeps up, and up to half a minute (vm.dirty_expire_centisecs) while it is away.
"""

import contextlib
import logging
import os
from collections import deque
from pathlib import Path
from typing import Protocol

from freehold.serve.gateway.ledger.entry import UsageEntry, from_line, to_line
from freehold.serve.gateway.ledger.folders import SpoolFolder
from freehold.serve.gateway.ledger.totals import Totals

log = logging.getLogger("freehold.ledger")


class Batch(Protocol):
    """Entries that are added to the database together, once."""

    id: str

    def totals(self) -> Totals:
        """Their sums. May block; raises OSError."""
        ...

    def discard(self) -> None:
        """Return when it can never come back, not even after a power cut. May block; raises OSError."""
        ...


class Segment:
    """A file of the spool that nothing is written to any more."""

    def __init__(self, folder: SpoolFolder, path: Path) -> None:
        self.id = folder.batch_id(path)
        self._folder = folder
        self._path = path

    def totals(self) -> Totals:
        totals = Totals()
        with self._path.open("rb") as lines:
            for line in lines:
                entry = from_line(line)
                if entry is None:
                    totals.unreadable += 1
                else:
                    totals.add(entry)
        return totals

    def discard(self) -> None:
        self._path.unlink(missing_ok=True)
        self._folder.sync()


class Unwritten:
    """Entries that the disk did not take. They die with the process."""

    def __init__(self, batch_id: str, totals: Totals) -> None:
        self.id = batch_id
        self._totals = totals

    def totals(self) -> Totals:
        return self._totals

    def discard(self) -> None:
        """There is nothing on the disk."""


class Spool:
    """Appends entries to one segment after the other. For one thread, the event loop's; nothing here waits."""

    def __init__(self, folder: SpoolFolder) -> None:
        self.folder = folder
        self.sealed: deque[Batch] = deque()
        """Batches that wait for the database, oldest first: names, not contents."""
        self.size_bytes = 0
        """Of the open segment."""
        self.unwritten_entries = 0
        """Entries that the disk did not take, ever."""
        self._unwritten = Totals()
        self._is_failing = False
        self._number = 0
        self._descriptor = -1
        self._open_next()

    def append(self, entry: UsageEntry) -> None:
        """Write the entry; one that the disk does not take is kept in memory. Raises nothing."""
        line = to_line(entry)
        try:
            written = os.write(self._descriptor, line)
        except OSError as error:
            self._keep(entry, error.strerror)
            return
        if written != len(line):
            self._keep(entry, "the disk is full")
            self._take_back()
            return
        self.size_bytes += written

    def seal(self) -> None:
        """Hand what was appended over to `sealed`, and begin a new segment."""
        if not self._unwritten.entries and self._descriptor >= 0:
            self._is_failing = False
        if self.size_bytes:
            self._seal_segment()
        elif self._descriptor < 0:
            self._open_next()
        if self._unwritten.entries:
            self.sealed.append(Unwritten(self.folder.batch_id(self._next_path()), self._unwritten))
            self._unwritten = Totals()

    def close(self) -> None:
        """Seal, and leave no empty segment behind; nothing can be appended after."""
        self.seal()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            with contextlib.suppress(OSError):  # whoever starts next finds it, and nothing in it
                self._path.unlink(missing_ok=True)

    def _seal_segment(self) -> None:
        os.close(self._descriptor)
        self.sealed.append(Segment(self.folder, self._path))
        self._open_next()

    def _open_next(self) -> None:
        self.size_bytes = 0
        self._descriptor = -1
        self._path = self._next_path()
        try:
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        except OSError as error:
            self._complain(error.strerror)

    def _next_path(self) -> Path:
        self._number += 1
        return self.folder.segment(self._number)

    def _keep(self, entry: UsageEntry, reason: str | None) -> None:
        self.unwritten_entries += 1
        self._unwritten.add(entry)
        self._complain(reason)

    def _take_back(self) -> None:
        """Cut the torn line off; if that cannot be, leave it at the end of a segment, where it is skipped."""
        try:
            os.ftruncate(self._descriptor, self.size_bytes)
        except OSError:
            self._seal_segment()

    def _complain(self, reason: str | None) -> None:
        if not self._is_failing:
            self._is_failing = True
            log.error("The usage spool %s cannot be written (%s): kept in memory", self.folder.path, reason)
