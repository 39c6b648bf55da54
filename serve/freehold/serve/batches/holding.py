"""A batch while this process holds its lease: kept alive, counted, moved on, let go."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from time import monotonic
from typing import Any, NamedTuple

from sqlalchemy import Connection

from freehold.serve.batches.journal import Journal, Placed, Record
from freehold.serve.gateway.ledger import UsageEntry
from freehold.serve.gateway.ledger.posting import add
from freehold.serve.gateway.ledger.totals import Totals
from freehold.serve.state.batch_work import count_journal, keep_batch, let_go_of_batch, move_batch
from freehold.serve.state.batches import BatchRecord, Status
from freehold.serve.state.database import Database

log = logging.getLogger("freehold.batches")


class Interrupted(Exception):
    """The batch is over, or somebody else's: what is done for it here is of no use any more."""


class Answer(NamedTuple):
    """Where the journal has what a line was answered."""

    start: int
    end: int
    is_success: bool


class HeldBatch:
    """One batch's row and journal. `runner` is this process, as leases name it."""

    def __init__(self, database: Database, batch: BatchRecord, journal: Journal, runner: str, lease_s: float) -> None:
        self.batch = batch
        self.journal = journal
        self.answers: dict[int, Answer] = {}
        """By line."""
        self.completed = 0
        self._database = database
        self._runner = runner
        self._lease_s = lease_s
        self._valid_until = monotonic() + lease_s
        self._uncounted: deque[tuple[int, list[UsageEntry]]] = deque()
        """Ends of records, and what their lines used."""
        self._turn = asyncio.Lock()

    def open(self) -> None:
        """Read what was done for the batch before, and go on after it. Blocks."""
        self.journal.open()
        for placed in self.journal.read():
            self._take(placed)

    def record(self, record: Record) -> None:
        """Write down what a line was answered. Raises OSError, and Interrupted if others may hold the batch by now."""
        if monotonic() > self._valid_until:
            raise Interrupted
        self._take(self.journal.append(record))

    def _take(self, placed: Placed) -> None:
        record = placed.record
        if record.line in self.answers:
            log.warning("%s: line %d was answered twice; the first answer stays", self.batch.id, record.line)
        else:
            self.answers[record.line] = Answer(placed.start, placed.end, record.is_success)
            self.completed += record.is_success
        if placed.end > self.batch.counted:
            self._uncounted.append((placed.end, record.usage))

    async def beat(self) -> float:
        """Renew the lease, and count what was answered; the database's time.

        Raises Interrupted if the batch is over or lost, and DatabaseUnavailable.
        """
        async with self._turn:
            began = monotonic()
            kept, time = await self._database.run(await self._keeping())
            if kept is None:
                raise Interrupted
            self._valid_until = began + self._lease_s
            self.batch = kept
            while self._uncounted and self._uncounted[0][0] <= kept.counted:
                self._uncounted.popleft()
            return time

    async def _keeping(self) -> "Callable[[Connection], tuple[BatchRecord | None, float]]":
        """The work of one beat, with the journal on the disk as far as it counts."""
        totals, before, after = Totals(), self.batch.counted, self.batch.counted
        for after, usage in self._uncounted:  # noqa: B007 - the last one is wanted
            for entry in usage:
                totals.add(entry)
        if after != before:
            await asyncio.to_thread(self.journal.sync)
        counts = {"completed": self.completed, "failed": len(self.answers) - self.completed}

        def keep(connection: Connection) -> tuple[BatchRecord | None, float]:
            kept = keep_batch(connection, self.batch.id, self._runner, self._lease_s, **counts)
            if kept is None:
                return None, 0.0
            # The row says how far the journal is counted, in the transaction that counts: once, whatever fails.
            if after != before and count_journal(connection, self.batch.id, before, after):
                add(connection, totals)
                return replace(kept[0], counted=after), kept[1]
            return kept

        return keep

    async def settle(self) -> None:
        """Return when everything that was answered is counted. Raises as `beat` does."""
        await self.beat()
        while self._uncounted:
            await self.beat()

    async def move(
        self, before: Status, after: Status, also: Callable[[Connection], None] = lambda _: None, **values: Any
    ) -> bool:
        """Give it its next state, and do that in the same transaction; False if it has another one than `before`."""

        def move(connection: Connection) -> bool:
            if not move_batch(connection, self.batch.id, self._runner, before, after, **values):
                return False
            also(connection)
            return True

        moved = await self._database.run(move)
        if moved:
            self.batch = replace(self.batch, status=after)
            log.info("%s: %s", self.batch.id, after)
        return moved

    async def let_go(self) -> None:
        """Leave it to whoever looks for work next."""
        await self._database.run(lambda connection: let_go_of_batch(connection, self.batch.id, self._runner))
