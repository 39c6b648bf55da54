"""Between the book in memory and the database: leases blocks, charges what was used, gives back what others want."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection

from freehold.serve.gateway.quotas.account import Account
from freehold.serve.gateway.quotas.clock import WindowClock
from freehold.serve.gateway.quotas.errand import Errand, acquire, visit
from freehold.serve.gateway.quotas.line import DatabaseLine
from freehold.serve.gateway.quotas.meters import Amounts
from freehold.serve.gateway.quotas.portfolio import Portfolio
from freehold.serve.state import quotas
from freehold.serve.state.database import DatabaseUnavailable
from freehold.serve.state.quotas import Demand

Result = TypeVar("Result")

RENEWALS = 3
"""In a lease's time."""
HEARTBEAT_S = 3.0
SWEEP_S = 60.0
TIDY_S = 1.0
HURRY_S = 0.02
"""Between two visits, when somebody waits for what is given back."""


class Courier:
    """A task that visits the database every `sync_s`, and at once when a request needs a lease."""

    def __init__(
        self,
        line: DatabaseLine,
        portfolio: Portfolio,
        clock: WindowClock,
        *,
        replica_id: str,
        lease_s: float,
        sync_s: float,
    ) -> None:
        self._line = line
        self._portfolio = portfolio
        self._clock = clock
        self._replica_id = replica_id
        self._lease_s = lease_s
        self._sync_s = sync_s
        self._asked: dict[Account, Amounts] = {}
        self._visited_at = self._due_at = self._beat_at = self._renew_at = self._tidy_at = clock.monotonic()
        self._sweep_at = self._due_at + SWEEP_S
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        """What is sent is what the answer is applied to: one exchange after the other."""

    @property
    def is_away(self) -> bool:
        """The database does not answer."""
        return self._line.is_away

    async def ask(self, account: Account, amounts: Amounts) -> None:
        """Have the database asked for what the account lacks of these amounts, and wait for what comes of it."""
        if account.answer is None:
            account.answer = asyncio.get_running_loop().create_future()
            self._asked[account] = amounts
            self._wake.set()
        await asyncio.wait({account.answer}, timeout=self._line.slow_s)

    def hurry(self) -> None:
        """Visit the database soon: somebody waits for what is given back."""
        soon = self._visited_at + HURRY_S
        if soon < self._due_at and not self._line.is_broken:
            self._due_at = soon
            self._wake.set()

    # -- life --------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Show the replica to the others, and begin. An absent database is no obstacle."""
        await self.visit()
        self._task = asyncio.create_task(self._run(), name="quotas")

    async def close(self) -> None:
        """Charge what was used, and give the leases back. What cannot be charged now is lost."""
        self._stopping.set()
        self._wake.set()
        if self._task is not None:
            await self._task
        await self.visit()
        if not self._line.is_broken:
            with suppress(DatabaseUnavailable):
                await self._call(partial(quotas.release, replica=self._replica_id))

    async def _run(self) -> None:
        while not self._stopping.is_set():
            await self._until_due()
            if self._stopping.is_set():
                break
            if self._asked:
                await self._fetch()
            if self._clock.monotonic() >= self._due_at:
                await self.visit()

    async def _until_due(self) -> None:
        """Until somebody asks, or a visit is due; after a failure, nobody can ask, and the pause is kept."""
        signal = self._stopping if self._line.is_broken else self._wake
        if not self._asked:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, self._due_at - self._clock.monotonic())):
                    await signal.wait()
        self._wake.clear()

    # -- calls -------------------------------------------------------------------------------------------------------

    async def _fetch(self) -> None:
        """Lease what is asked for, for all who ask."""
        async with self._turn:
            asked, self._asked = self._asked, {}
            try:
                await self._lease(asked)
            except DatabaseUnavailable:
                self._fail(asked)
                return
        for account in asked:
            account.used_at = self._clock.monotonic()  # who has waited for this takes it after our next visit, maybe
            _answered(account)

    async def _lease(self, asked: dict[Account, Amounts]) -> None:
        now = self._clock.monotonic()
        short = []
        for account, amounts in asked.items():
            account.drop_lost_leases(now)
            short += list(account.short(amounts))
        if not short:
            return
        demands = [Demand(allotment.name, allotment.limit, lacking) for allotment, lacking in short]
        work = partial(acquire, replica=self._replica_id, demands=demands, lease_s=self._lease_s)
        at, grants = await self._call(work)
        self._observe(at)
        self._portfolio.granted(short, grants, self._line.began, self._line.ended, self._lease_s)

    async def visit(self) -> None:
        """Settle, renew, and give back what others want; a failure is retried after a pause."""
        async with self._turn:
            try:
                # What others want is not kept until the next time; but whoever asks for a lease has a turn in between.
                if await self._visit() and await self._visit():
                    self.hurry()
            except DatabaseUnavailable:
                self._fail({})

    async def _visit(self) -> bool:
        """One visit. Returns whether another one should follow at once."""
        now, portfolio = self._clock.monotonic(), self._portfolio
        if now >= self._tidy_at:
            self._tidy_at = now + TIDY_S
            portfolio.give_back_idle(now)
            portfolio.forget_over()
        is_repeating = portfolio.is_repeating
        batch, is_beating, is_renewing = portfolio.batch(), now >= self._beat_at, now >= self._renew_at
        errand = Errand(self._replica_id, self._lease_s, batch, is_beating, is_renewing)
        report = await self._call(partial(visit, errand=errand))
        self._visited_at = self._clock.monotonic()
        self._due_at = self._visited_at + self._sync_s
        self._observe(report.at)
        portfolio.settled(report.settled)
        if is_beating:
            self._beat_at = now + HEARTBEAT_S
        if report.renewed is not None:
            portfolio.renewed(report.renewed, now, self._lease_s)
            self._renew_at = now + self._lease_s / RENEWALS
        if now >= self._sweep_at:
            self._sweep_at = now + SWEEP_S
            await self._call(quotas.sweep)
        return portfolio.give_back(report.wanted) or is_repeating

    async def _call(self, work: Callable[[Connection], Result]) -> Result:
        result = await self._line.call(work)
        self._portfolio.call_in()
        return result

    def _observe(self, at: float) -> None:
        self._clock.observe(at, self._line.began, self._line.ended)

    def _fail(self, asked: dict[Account, Amounts]) -> None:
        """Whoever asked goes on without the database."""
        self._due_at = self._clock.monotonic() + self._line.pause_s
        for account in (*asked, *self._asked):
            _answered(account)
        self._asked.clear()


def _answered(account: Account) -> None:
    """Whoever asked may look again, and so may those who wait for others to give back."""
    if account.answer is not None:
        account.answer.set_result(None)
        account.answer = None
    account.wake()
    account.watch()
