"""Three replicas in processes of their own, on one PostgreSQL."""

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from fixtures.databases import PostgresServer
from sqlalchemy import func, select

from freehold.serve.state.allowances import ALLOWANCE, LEASE
from freehold.serve.state.database import Database, open_database
from freehold.serve.state.migrating import migrate

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
PROGRAM = Path(__file__).parent / "quota_replica.py"
CLIENTS = (67, 67, 66)
MOST = 400
"""Tokens that one request may use."""


class Replica:
    """A process that does what it is told."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def do(self, command: str, **options: Any) -> Any:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": command, **options}).encode() + b"\n")
        line = await self.process.stdout.readline()
        assert line, "the replica has died"
        return json.loads(line)

    async def until(self, condition: Callable[[Any], bool]) -> Any:
        """Its state, as soon as that is so."""
        async with asyncio.timeout(60):
            while not condition(state := await self.do("tell")):
                await asyncio.sleep(0.02)
        return state


Start = Callable[..., Awaitable[Replica]]


@pytest.fixture
def server(postgres_server: PostgresServer) -> Iterator[PostgresServer]:
    """A server that a test may stop."""
    yield postgres_server
    if not runs(postgres_server):
        postgres_server.start()


def runs(server: PostgresServer) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", server.port)) == 0


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    opened = open_database(postgres_url)
    migrate(opened)
    yield opened
    opened.close()


@pytest.fixture
async def start(database: Database, postgres_url: str) -> AsyncIterator[Start]:
    """Start a replica on the database."""
    async with AsyncExitStack() as stack:

        async def begin(lease_s: float = 30.0) -> Replica:
            path = os.pathsep.join(str(ROOT / room) for room in ("core", "serve"))
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(PROGRAM),
                postgres_url,
                str(lease_s),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": path},
                limit=2**26,
            )
            stack.push_async_callback(end, process)
            replica = Replica(process)
            await replica.do("tell")
            return replica

        yield begin


async def end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.communicate()


def spent(database: Database) -> int:
    total = select(func.sum(ALLOWANCE.c.spent)).where(ALLOWANCE.c.meter == "month_tokens")
    return int(database.call(lambda connection: connection.scalar(total)) or 0)


def most_at_once(intervals: list[tuple[float, float]]) -> int:
    """How many of these lie over each other."""
    events = sorted([(end, -1) for _, end in intervals] + [(begin, 1) for begin, _ in intervals])
    height = most = 0
    for _, step in events:
        height += step
        most = max(most, height)
    return most


async def test_two_hundred_clients_over_three_replicas_keep_a_budget(start: Start, database: Database) -> None:
    budget = 300_000
    limits = {"monthly_tokens": budget, "concurrent_requests": 40}
    replicas = await asyncio.gather(*(start() for _ in CLIENTS))
    for replica in replicas:  # the budget may be used up before the last one has its clients
        await replica.do("hammer", clients=1, limits=limits)
        await replica.until(lambda state: state["requests"] > 0)
        await replica.do("stop")
    for replica, clients in zip(replicas, CLIENTS, strict=True):
        await replica.do("hammer", clients=clients, limits=limits)
    await asyncio.gather(*(replica.do("finish") for replica in replicas))
    answers = [await replica.do("close") for replica in replicas]
    settled = sum(answer["settled"] for answer in answers)
    assert settled <= budget + MOST
    assert settled >= 0.95 * budget
    assert spent(database) == settled
    assert all(answer["settled"] > 0 for answer in answers)
    assert most_at_once([tuple(item) for answer in answers for item in answer["in_flight"]]) <= 40
    assert database.call(lambda connection: connection.execute(select(LEASE)).all()) == []


async def test_what_a_killed_replica_held_comes_back_after_its_lease(start: Start, database: Database) -> None:
    limits = {"tokens_per_minute": None, "monthly_tokens": 1000, "concurrent_requests": 2}
    one, other, third = await asyncio.gather(*(start(lease_s=9.0) for _ in range(3)))
    assert (await one.do("hold", tokens=800, limits=limits))["held"]
    expiry = select(func.min(LEASE.c.expires_at))
    first = database.call(lambda connection: connection.scalar(expiry))
    while database.call(lambda connection: connection.scalar(expiry)) == first:  # it is renewed
        await asyncio.sleep(0.05)
    assert not (await other.do("hold", tokens=800, limits=limits))["held"]
    one.process.kill()
    await one.process.wait()
    async with asyncio.timeout(60):
        while not (await other.do("hold", tokens=800, limits=limits))["held"]:
            pass
    assert (await third.do("hold", tokens=200, limits=limits))["held"]


async def test_an_outage_stops_nobody_and_is_charged_afterwards(
    start: Start, database: Database, server: PostgresServer
) -> None:
    limits = {"monthly_tokens": 10**9, "requests_per_minute": 10**6}
    replicas = await asyncio.gather(*(start() for _ in CLIENTS))
    for replica in replicas:
        await replica.do("hammer", clients=20, limits=limits)
        await replica.until(lambda state: state["requests"] > 50)
    server.stop()
    for replica in replicas:
        before = await replica.until(lambda state: state["away"])
        await replica.until(lambda state, before=before: state["requests"] > before["requests"] + 200)  # type: ignore[misc]
    server.start()
    for replica in replicas:
        await replica.until(lambda state: not state["away"])
        await replica.do("stop")
    database.engine.dispose()
    settled = sum([(await replica.do("close"))["settled"] for replica in replicas])
    assert spent(database) == settled
