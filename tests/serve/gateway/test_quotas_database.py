"""Limits with a database behind them: leases, settling, other replicas, outages."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TypeVar

import pytest
from sqlalchemy import Connection, select, update

from freehold.serve.gateway.errors import OverLimit
from freehold.serve.gateway.principal import Limits
from freehold.serve.gateway.quotas import QuotaBook, new_replica_id
from freehold.serve.gateway.quotas.account import Account
from freehold.serve.gateway.quotas.errand import acquire
from freehold.serve.state.allowances import ALLOWANCE, LEASE
from freehold.serve.state.database import Database, DatabaseUnavailable
from freehold.serve.state.quotas import BATCH, REPLICA, sweep

pytestmark = pytest.mark.slow

Result = TypeVar("Result")
Replica = Callable[..., Awaitable[QuotaBook]]

KEY = "key_1"
BUDGET = Limits(monthly_tokens=1000)
LONG_S = 3600.0
"""Visits happen when a test says so."""


class Plug(Database):
    """A database whose connection can be pulled, blocked, or lost right after a commit."""

    def __init__(self, inner: Database) -> None:
        super().__init__(inner.engine)
        self.is_pulled = False
        self.loses_answers = False
        self.blocked: asyncio.Event | None = None
        self.calls = 0
        self.demands = 0
        self.ahead_s = 0.0
        """Replicas' clocks are ahead by so much."""

    async def run(self, work: Callable[[Connection], Result]) -> Result:
        self.calls += 1
        self.demands += getattr(work, "func", None) is acquire
        if self.blocked is not None:
            await self.blocked.wait()
        if self.is_pulled:
            raise DatabaseUnavailable("The database is not available", why="pulled")
        result = await super().run(work)
        if self.loses_answers:
            raise DatabaseUnavailable("The database is not available", why="the answer was lost")
        return result


@pytest.fixture
def plug(database: Database) -> Plug:
    return Plug(database)


@pytest.fixture
async def replica(plug: Plug) -> AsyncIterator[Replica]:
    """Start a replica on this database."""
    async with AsyncExitStack() as stack:

        async def start(sync_s: float = LONG_S, slow_s: float = 60.0) -> QuotaBook:
            monotonic = lambda: time.monotonic() + plug.ahead_s  # noqa: E731
            book = QuotaBook(plug, new_replica_id(), lease_s=30.0, sync_s=sync_s, slow_s=slow_s, monotonic=monotonic)
            stack.push_async_callback(book.close)
            await book.start()
            return book

        yield start


def ledger(database: Database) -> dict[str, tuple[int, int]]:
    """What is spent and leased of each meter."""
    rows = database.call(lambda connection: connection.execute(select(ALLOWANCE)).all())
    return {row.meter: (row.spent, row.leased) for row in rows}


async def test_a_block_is_leased_and_then_used_without_the_database(replica: Replica, plug: Plug) -> None:
    book = await replica()
    reservation = await book.acquire(KEY, BUDGET, 10, 0)
    assert ledger(plug) == {"month_tokens": (0, 500)}
    calls = plug.calls
    reservation.settle(7, 0)
    for _ in range(48):
        again = book.reserve(KEY, BUDGET, 10, 0)
        assert again is not None
        again.settle(10, 0)
    assert plug.calls == calls
    await book.sync()
    assert ledger(plug) == {"month_tokens": (487, 13)}


async def test_all_limits_of_a_key_are_leased_in_one_call(replica: Replica, plug: Plug) -> None:
    book = await replica()
    limits = Limits(10, 1000, 4, 2000, 3000)
    calls = plug.calls
    reservation = await book.acquire(KEY, limits, 10, 20)
    assert plug.calls == calls + 1
    reservation.settle(8, 15)
    await book.sync()
    spent = {meter: row[0] for meter, row in ledger(plug).items()}
    assert spent == {"requests": 1, "tokens": 8, "concurrent": 0, "month_tokens": 8, "month_money": 15}


async def test_what_took_the_database_long_to_grant_is_not_taken_for_idle(replica: Replica, plug: Plug) -> None:
    book = await replica(sync_s=0.01)
    plug.blocked = asyncio.Event()
    waiting = asyncio.create_task(book.acquire(KEY, Limits(concurrent_requests=1, monthly_tokens=1500), 10, 0))
    await asyncio.sleep(0.1)
    plug.ahead_s = 2.5  # longer than a key without requests keeps what it has, and than others are waited for
    demands, blocked, plug.blocked = plug.demands, plug.blocked, None
    blocked.set()
    reservation = await waiting
    assert plug.demands <= demands + 1, "it is not given back and asked for again"
    reservation.settle(10, 0)


async def test_requests_that_come_together_share_one_call(replica: Replica, plug: Plug) -> None:
    book = await replica()
    calls = plug.calls
    await asyncio.gather(*(book.acquire(KEY, BUDGET, 10, 0) for _ in range(50)))
    assert plug.calls == calls + 1


async def test_what_another_replica_does_not_use_is_waited_for(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("freehold.serve.gateway.quotas.book.PATIENCE_S", 60.0)
    one, other = await replica(sync_s=0.05), await replica(sync_s=0.05)
    reservation = await one.acquire(KEY, BUDGET, 900, 0)
    reservation.settle(100, 0)  # 800 of the lease are free there
    await other.acquire(KEY, BUDGET, 890, 0)


async def test_what_is_in_use_is_refused_and_the_database_is_not_asked_at_every_request(
    replica: Replica, plug: Plug, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("freehold.serve.gateway.quotas.allotment.REFUSAL_S", 60.0)
    one, other = await replica(sync_s=0.05), await replica(sync_s=0.05)
    await one.acquire(KEY, BUDGET, 900, 0)
    refusals = await asyncio.gather(*(other.acquire(KEY, BUDGET, 200, 0) for _ in range(50)), return_exceptions=True)
    assert {type(error) for error in refusals} == {OverLimit}
    assert isinstance(refusals[0], OverLimit)
    assert refusals[0].retry_after_s == 1  # it is only reserved
    demands = plug.demands
    with pytest.raises(OverLimit):
        await other.acquire(KEY, BUDGET, 200, 0)
    assert plug.demands == demands
    await other.acquire(KEY, BUDGET, 50, 0)  # a smaller one may fit


async def test_who_comes_late_to_the_end_of_its_patience_refuses_for_others_too(
    replica: Replica, plug: Plug, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process may stand still from before the end of patience until after the next look was due."""

    async def stand_still(account: Account, timeout_s: float) -> None:
        plug.ahead_s += 40.0

    monkeypatch.setattr("freehold.serve.gateway.quotas.book.PATIENCE_S", 30.0)
    monkeypatch.setattr("freehold.serve.gateway.quotas.allotment.REFUSAL_S", 60.0)
    monkeypatch.setattr(Account, "change", stand_still)
    one, other = await replica(), await replica()
    await one.acquire(KEY, BUDGET, 900, 0)
    with pytest.raises(OverLimit):
        await other.acquire(KEY, BUDGET, 200, 0)
    demands = plug.demands
    with pytest.raises(OverLimit):
        await other.acquire(KEY, BUDGET, 200, 0)
    assert plug.demands == demands


async def test_a_refusal_of_a_slow_database_counts_from_its_answer(
    replica: Replica, plug: Plug, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("freehold.serve.gateway.quotas.book.PATIENCE_S", 60.0)
    monkeypatch.setattr("freehold.serve.gateway.quotas.allotment.REFUSAL_S", 20.0)
    one, other = await replica(), await replica()
    (await one.acquire(KEY, BUDGET, 900, 0)).settle(900, 0)
    await one.sync()
    demands, blocked = plug.demands, asyncio.Event()
    plug.blocked = blocked
    waiting = asyncio.create_task(other.acquire(KEY, BUDGET, 200, 0))
    async with asyncio.timeout(60):
        while plug.demands == demands:
            await asyncio.sleep(0.01)
    plug.ahead_s = 21.0
    blocked.set()
    with pytest.raises(OverLimit):
        await waiting
    assert plug.demands == demands + 1


async def test_a_budget_that_others_have_used_up_is_not_waited_for(replica: Replica, plug: Plug) -> None:
    one, other = await replica(), await replica()
    (await one.acquire(KEY, BUDGET, 900, 0)).settle(900, 0)
    await one.acquire(KEY, BUDGET, 50, 0)
    await one.sync()
    calls = plug.calls
    with pytest.raises(OverLimit) as caught:
        await other.acquire(KEY, BUDGET, 200, 0)
    assert plug.calls == calls + 1
    assert caught.value.retry_after_s > 1


async def test_a_slot_that_is_free_again_goes_to_the_other_replica(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client with one request at a time must not notice that there are two replicas."""
    monkeypatch.setattr("freehold.serve.gateway.quotas.book.PATIENCE_S", 60.0)
    limits = Limits(concurrent_requests=1)
    one, other = await replica(), await replica()  # neither looks at what is wanted by itself
    for _ in range(5):
        (await one.acquire(KEY, limits, 1, 0)).settle(1, 0)
        (await other.acquire(KEY, limits, 1, 0)).settle(1, 0)


async def test_who_waits_here_gets_what_is_settled_here(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freehold.serve.gateway.quotas.book.PATIENCE_S", 60.0)
    one, other = await replica(), await replica()
    reservation = await one.acquire(KEY, BUDGET, 600, 0)
    await other.acquire(KEY, BUDGET, 200, 0)  # so that there is somebody to wait for
    waiting = asyncio.create_task(one.acquire(KEY, BUDGET, 300, 0))
    done, _ = await asyncio.wait({waiting}, timeout=0.1)
    assert not done
    reservation.settle(200, 0)
    (await waiting).settle(300, 0)


async def test_a_replica_that_stops_settles_and_gives_back(replica: Replica, plug: Plug) -> None:
    book = await replica()
    (await book.acquire(KEY, BUDGET, 100, 0)).settle(70, 0)
    await book.close()
    assert ledger(plug) == {"month_tokens": (70, 0)}
    for table in (LEASE, REPLICA, BATCH):
        assert plug.call(lambda connection, table=table: connection.execute(select(table)).all()) == []  # type: ignore[misc]


async def test_an_idle_key_gives_its_leases_back(replica: Replica, plug: Plug, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freehold.serve.gateway.quotas.portfolio.IDLE_S", -1.0)
    monkeypatch.setattr("freehold.serve.gateway.quotas.courier.TIDY_S", 0.0)
    book = await replica()
    (await book.acquire(KEY, BUDGET, 100, 0)).settle(70, 0)
    await book.acquire(KEY, BUDGET, 20, 0)
    await book.sync()
    assert ledger(plug) == {"month_tokens": (70, 20)}


async def test_without_the_database_what_was_left_may_be_used_and_is_charged_later(
    replica: Replica, plug: Plug
) -> None:
    book, other = await replica(), await replica()
    (await other.acquire(KEY, BUDGET, 10, 0)).settle(0, 0)  # holds 250
    (await book.acquire(KEY, BUDGET, 10, 0)).settle(10, 0)
    plug.is_pulled = True
    await book.sync()
    assert book.is_away
    for _ in range(74):
        (await book.acquire(KEY, BUDGET, 10, 0)).settle(10, 0)
    with pytest.raises(OverLimit):
        await book.acquire(KEY, BUDGET, 10, 0)
    plug.is_pulled = False
    await book.sync()
    assert not book.is_away
    assert ledger(plug) == {"month_tokens": (750, 250)}


async def test_a_limit_that_was_never_seen_counts_whole_without_the_database(replica: Replica, plug: Plug) -> None:
    plug.is_pulled = True
    book = await replica()
    reservation = await book.acquire(KEY, BUDGET, 1000, 0)
    with pytest.raises(OverLimit):
        await book.acquire(KEY, BUDGET, 1, 0)
    plug.is_pulled = False
    await book.sync()
    with pytest.raises(OverLimit):  # the reservation has no lease yet, and counts nevertheless
        await book.acquire(KEY, BUDGET, 1, 0)
    reservation.settle(600, 0)
    await book.sync()
    assert ledger(plug)["month_tokens"][0] == 600
    await book.acquire(KEY, BUDGET, 400, 0)


async def test_a_second_outage_allows_no_more_than_the_first(replica: Replica, plug: Plug) -> None:
    """Between the two the database answered, but not about this limit."""
    plug.is_pulled = True
    book = await replica()
    await book.acquire(KEY, BUDGET, 400, 0)
    plug.is_pulled = False
    await book.sync()
    plug.is_pulled = True
    await book.sync()
    await book.acquire(KEY, BUDGET, 600, 0)
    with pytest.raises(OverLimit):
        await book.acquire(KEY, BUDGET, 1, 0)


async def test_a_lease_that_ran_out_in_an_outage_counts_among_what_was_left(replica: Replica, plug: Plug) -> None:
    book = await replica()
    held = await book.acquire(KEY, BUDGET, 600, 0)
    plug.is_pulled = True
    await book.sync()
    plug.ahead_s = 25.0
    assert book.reserve(KEY, BUDGET, 0, 0) is None
    (await book.acquire(KEY, BUDGET, 400, 0)).settle(300, 0)
    await book.acquire(KEY, BUDGET, 100, 0)
    with pytest.raises(OverLimit):
        await book.acquire(KEY, BUDGET, 1, 0)
    held.settle(600, 0)
    plug.is_pulled = False
    await book.sync()
    assert ledger(plug)["month_tokens"][0] == 900


async def test_a_lease_that_others_took_back_is_not_relied_on(replica: Replica, plug: Plug) -> None:
    book, other = await replica(), await replica()
    held = await book.acquire(KEY, BUDGET, 10, 0)  # and 240 more
    statement = update(LEASE).values(expires_at=0.0)
    plug.call(lambda connection: connection.execute(statement))
    plug.call(sweep)
    await other.acquire(KEY, BUDGET, 990, 0)
    held.settle(10, 0)
    await book.sync()
    assert ledger(plug) == {"month_tokens": (10, 990)}
    with pytest.raises(OverLimit):
        await book.acquire(KEY, BUDGET, 1, 0)


async def test_a_lost_answer_charges_nothing_twice(replica: Replica, plug: Plug) -> None:
    book = await replica()
    (await book.acquire(KEY, BUDGET, 100, 0)).settle(70, 0)
    plug.loses_answers = True
    await book.sync()
    await book.sync()
    plug.loses_answers = False
    await book.sync()
    assert ledger(plug) == {"month_tokens": (70, 430)}


async def test_a_lease_whose_grant_got_lost_is_used_nevertheless(replica: Replica, plug: Plug) -> None:
    book = await replica()
    plug.loses_answers = True
    (await book.acquire(KEY, BUDGET, 100, 0)).settle(30, 0)
    plug.loses_answers = False
    plug.ahead_s = 11.0  # it is time to renew
    await book.sync()
    assert ledger(plug) == {"month_tokens": (30, 470)}
    await book.acquire(KEY, BUDGET, 970, 0)


async def test_nobody_waits_for_a_database_that_hangs(replica: Replica, plug: Plug) -> None:
    """The first one waits a while, the others not at all."""
    book = await replica(slow_s=0.2)
    plug.blocked = asyncio.Event()
    await book.acquire(KEY, BUDGET, 10, 0)
    assert book.is_away
    await book.acquire("key_2", BUDGET, 10, 0)
    plug.blocked.set()
    await book.sync()
    assert not book.is_away
    await book.acquire(KEY, BUDGET, 10, 0)


async def test_nobody_tries_a_broken_database(replica: Replica, plug: Plug, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freehold.serve.gateway.quotas.line.FIRST_PAUSE_S", 60.0)
    monkeypatch.setattr("freehold.serve.gateway.quotas.line.LONGEST_PAUSE_S", 60.0)
    book = await replica()
    plug.is_pulled = True
    await book.acquire(KEY, BUDGET, 10, 0)
    calls = plug.calls
    await asyncio.gather(*(book.acquire(f"key_{number}", BUDGET, 10, 0) for number in range(100)))
    assert plug.calls == calls


async def test_the_line_comes_back_by_itself(replica: Replica, plug: Plug) -> None:
    book = await replica()
    plug.is_pulled = True
    (await book.acquire(KEY, BUDGET, 10, 0)).settle(9, 0)
    assert book.is_away
    plug.is_pulled = False
    async with asyncio.timeout(20):
        while book.is_away or ledger(plug).get("month_tokens", (0, 0))[0] != 9:
            await asyncio.sleep(0.01)


async def test_a_request_that_is_cancelled_while_it_waits_takes_nothing(replica: Replica, plug: Plug) -> None:
    book = await replica()
    plug.blocked = asyncio.Event()
    waiting = asyncio.create_task(book.acquire(KEY, BUDGET, 1000, 0))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    plug.blocked.set()
    await book.acquire(KEY, BUDGET, 1000, 0)
