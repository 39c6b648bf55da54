"""The ledger: takes an entry for every exchange, and sees to it that each is added to the database once."""

import asyncio
import logging
from collections import deque
from functools import partial
from pathlib import Path

from freehold.serve.gateway.ledger.entry import UsageEntry
from freehold.serve.gateway.ledger.folders import SpoolFolder, make_folder, take_over
from freehold.serve.gateway.ledger.posting import forget_folder, post
from freehold.serve.gateway.ledger.spool import Batch, Segment, Spool
from freehold.serve.state.database import Database, DatabaseUnavailable

log = logging.getLogger("freehold.ledger")

SEGMENT_LIMIT_BYTES = 16 * 1024 * 1024
"""While the database is away, entries go on into the same segment up to this size: few files, and each read in a
fraction of a second."""
BACKOFF_S = 0.25
BACKOFF_LIMIT_S = 5.0


class Ledger:
    """Records usage through a spool on the disk; a task of its own brings it to the database.

    All methods are for the event loop's thread, one process per ledger (start it after forking). Entries are lost only
    by a power cut (`spool` says how many) and by a kill while the disk takes nothing.
    """

    def __init__(self, database: Database, spool_root: Path, replica_id: str, flush_s: float = 1.0) -> None:
        self._database = database
        self._root = spool_root
        self._replica_id = replica_id
        self._flush_s = flush_s
        self._spool: Spool | None = None
        self._left_behind: deque[SpoolFolder] = deque()
        self._gone: list[str] = []
        self._turn = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._backoff_s = 0.0
        self.posted_entries = 0
        """Entries that were added to the database, those of dead replicas among them."""
        self.unreadable_lines = 0
        """Lines of the spool that were torn by a kill or a full disk; each may have been an entry."""

    def record(self, entry: UsageEntry) -> None:
        """Take an entry: one write to the page cache. Raises nothing. Allowed between `start` and `close`."""
        assert self._spool is not None, "the ledger is not started"
        self._spool.append(entry)

    @property
    def is_behind(self) -> bool:
        """Whether the database does not take what it is sent; entries wait on the disk."""
        return self._backoff_s > 0

    @property
    def unwritten_entries(self) -> int:
        """Entries that the disk did not take; they waited in memory."""
        return self._spool.unwritten_entries if self._spool else 0

    async def start(self) -> None:
        """Open the spool and take over what dead replicas left on this disk. Raises EnvironmentProblem.

        The database may be away; it is not asked here.
        """
        folder = await asyncio.to_thread(make_folder, self._root, self._replica_id)
        self._spool = Spool(folder)
        self._left_behind.extend(await asyncio.to_thread(take_over, self._root))
        self._task = asyncio.create_task(self._keep_flushing(), name="usage ledger")

    async def close(self) -> None:
        """Bring everything to the database. What it does not take stays on the disk for the next start."""
        assert self._spool is not None and self._task is not None, "the ledger is not started"
        self._stopping.set()
        await self._task
        self._spool.close()
        try:
            await self._post_all(self._spool)
            await self._finish(self._spool.folder)
        except DatabaseUnavailable as error:
            log.warning("Usage stays in %s until the next start: %s", self._spool.folder.path, error)
            self._spool.folder.release()
        for folder in self._left_behind:
            folder.release()
        self._left_behind.clear()

    async def flush(self) -> None:
        """Bring what has been recorded until now to the database. Raises DatabaseUnavailable."""
        assert self._spool is not None, "the ledger is not started"
        async with self._turn:
            if not self._spool.sealed or self._spool.size_bytes > SEGMENT_LIMIT_BYTES:
                self._spool.seal()
            await self._post_all(self._spool)

    async def _post_all(self, spool: Spool) -> None:
        while self._left_behind:
            await self._clear(self._left_behind[0])
            self._left_behind.popleft()
        while spool.sealed:
            await self._post(spool.sealed[0])
            spool.sealed.popleft()

    async def _keep_flushing(self) -> None:
        while not await self._is_stopping(within_s=self._backoff_s or self._flush_s):
            try:
                await self.flush()
            except DatabaseUnavailable as error:
                self._fall_behind(error)
            else:
                self._catch_up()

    async def _is_stopping(self, within_s: float) -> bool:
        try:
            return await asyncio.wait_for(self._stopping.wait(), within_s)
        except TimeoutError:
            return False

    def _fall_behind(self, error: DatabaseUnavailable) -> None:
        if not self.is_behind:
            log.error("Usage is kept on the disk, in %s: %s", self._root, error)
        self._backoff_s = min(max(2 * self._backoff_s, BACKOFF_S), BACKOFF_LIMIT_S)

    def _catch_up(self) -> None:
        if self.is_behind:
            log.warning("The database takes usage again; nothing waits in %s", self._root)
        self._backoff_s = 0.0

    async def _clear(self, folder: SpoolFolder) -> None:
        """Post a dead replica's segments in their order, then remove its folder."""
        for path in await asyncio.to_thread(folder.segments):
            await self._post(Segment(folder, path))
        await self._finish(folder)

    async def _finish(self, folder: SpoolFolder) -> None:
        if await asyncio.to_thread(folder.segments):  # one could not be read or deleted, and must keep its id
            folder.release()
            return
        await self._database.run(partial(forget_folder, folder=folder.path.name))
        await asyncio.to_thread(folder.remove)

    async def _post(self, batch: Batch) -> None:
        """Add a batch to the database and delete it from the disk. Raises DatabaseUnavailable."""
        try:
            totals = await asyncio.to_thread(batch.totals)
        except OSError as error:
            log.error("Usage in batch %s cannot be read and is not counted: %s", batch.id, error)
            return
        if totals.entries:
            gone = tuple(self._gone)
            if await self._database.run(partial(post, batch_id=batch.id, totals=totals, gone=gone)):
                self.posted_entries += totals.entries
            del self._gone[: len(gone)]
        if totals.unreadable:
            self.unreadable_lines += totals.unreadable
            log.warning("Skipped %d torn line(s) in usage batch %s", totals.unreadable, batch.id)
        try:
            await asyncio.to_thread(batch.discard)
        except OSError as error:  # its id stays in the database, so it will not count twice
            log.warning("Usage batch %s is counted, but cannot be deleted: %s", batch.id, error)
        else:
            self._gone.append(batch.id)
