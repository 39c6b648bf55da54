"""The whole gateway while something around it fails: the database, the clock, the process, the disk."""

import asyncio
import json
import resource
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from fixtures.databases import PostgresServer
from fixtures.house import CHAT, MESSAGES, House, bearer, open_house
from fixtures.served import Served, answer_some, serving
from fixtures.stub_engine import StubEngine

from freehold.serve.gateway import new_event_loop

DAY_S = 86_400


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": new_event_loop}


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def house(stack: AsyncExitStack, tmp_path: Path) -> House:
    return await open_house(stack, f"sqlite:///{tmp_path / 'gateway.db'}")


class Load:
    """Clients of one key, which ask again and again, plainly and for streams, and add up what they are told."""

    def __init__(self, url: str, secret: str) -> None:
        self.tokens = 0
        self.answers = 0
        self.refused = 0
        """Requests that a gateway which stops did not take: a 503, or a connection without a byte of an answer."""
        self.wrong: list[str] = []
        self.is_stopping = False
        """The gateway was told to stop."""
        self._url, self._secret = url, secret
        self._goes_on = True
        self._progress = asyncio.Event()

    @asynccontextmanager
    async def running(self, clients: int) -> AsyncIterator["Load"]:
        """Under way inside the block; at its end every client gets its last answer."""
        tasks = [asyncio.create_task(self._ask_on(number)) for number in range(clients)]
        try:
            yield self
        finally:
            self._goes_on = False
            await asyncio.gather(*tasks)

    async def more(self, answers: int) -> None:
        """Return when there are so many answers more."""
        until = self.answers + answers
        async with asyncio.timeout(60):
            while self.answers < until:
                self._progress.clear()
                await self._progress.wait()

    async def _ask_on(self, number: int) -> None:
        async with aiohttp.ClientSession(self._url, headers=bearer(self._secret)) as client:
            while self._goes_on:
                number += 1
                try:
                    await self._ask(client, is_stream=bool(number % 2))
                except (aiohttp.ClientError, TimeoutError) as error:
                    self.wrong.append(repr(error))
                    return

    async def _ask(self, client: aiohttp.ClientSession, *, is_stream: bool) -> None:
        body: dict[str, Any] = {"model": "tiny", "max_tokens": 20, "messages": MESSAGES, "stream": is_stream}
        if is_stream:
            body["stream_options"] = {"include_usage": True}
        try:
            answer = await client.post(CHAT, json=body)
        except aiohttp.ClientConnectionError:
            if not self.is_stopping:
                raise
            self.refused += 1
            await asyncio.sleep(0.01)
            return
        async with answer:
            text = await answer.text()
        if self.is_stopping and answer.status == 503 and "shutting down" in text:
            self.refused += 1
        elif answer.status != 200 or (is_stream and not text.endswith("data: [DONE]\n\n")):
            self.wrong.append(f"{answer.status} {text[-300:]}")
        else:
            told = text.rstrip().split("\n\n")[-2].removeprefix("data: ") if is_stream else text
            self.tokens += json.loads(told)["usage"]["total_tokens"]
            self.answers += 1
            self._progress.set()


async def _ask(house: House, secret: str, **more: Any) -> tuple[int, str]:
    """Status and body of a plain request."""
    async with aiohttp.ClientSession(house.url, headers=bearer(secret)) as client:
        body = {"model": "tiny", "max_tokens": 5, "messages": MESSAGES, **more}
        async with client.post(CHAT, json=body) as answer:
            return answer.status, await answer.text()


# -- the database ------------------------------------------------------------------------------------------------------


@pytest.fixture
def server(postgres_server: PostgresServer) -> Iterator[PostgresServer]:
    """A server that a test may stop."""
    yield postgres_server
    with socket.socket() as probe:
        is_up = probe.connect_ex(("127.0.0.1", postgres_server.port)) == 0
    if not is_up:
        postgres_server.start()


def _everybody_knows(house: House) -> bool:
    """Whether limits, ledger and keys have noticed that the database is away."""
    services = house.services[0]
    assert services.quotas is not None and services.ledger is not None and services.keyring is not None
    return services.quotas.is_away and services.ledger.is_behind and not services.keyring.is_current


def _nobody_misses_it(house: House) -> bool:
    services = house.services[0]
    assert services.quotas is not None and services.ledger is not None and services.keyring is not None
    return not services.quotas.is_away and not services.ledger.is_behind and services.keyring.is_current


async def _ask_unknown(house: House) -> int:
    """Status for a key that nobody has; its error says which it is."""
    status, text = await _ask(house, "fh-" + "x" * 43)
    assert json.loads(text)["error"]["code"] == {401: "invalid_api_key", 503: "keys_unavailable"}[status]
    return status


@pytest.mark.slow
async def test_a_database_that_is_down_under_load_costs_no_answer_and_no_token(
    stack: AsyncExitStack, server: PostgresServer, postgres_url: str
) -> None:
    house = await open_house(stack, postgres_url)
    _, secret = await house.key(monthly_tokens=10**9, requests_per_minute=10**6, concurrent_requests=100)
    load = Load(house.url, secret)
    async with load.running(16):
        await load.more(200)
        await asyncio.to_thread(server.stop)
        while not _everybody_knows(house):
            await load.more(20)
            assert (await _ask_unknown(house)) in (401, 503)
        await load.more(1000)
        assert (await _ask_unknown(house)) == 503
        await asyncio.to_thread(server.start)
        while not _nobody_misses_it(house):
            await load.more(20)
        await load.more(200)
        assert (await _ask_unknown(house)) == 401
    assert not load.wrong, load.wrong[:3]
    [row] = await house.usage()
    assert row["prompt_tokens"] + row["completion_tokens"] == load.tokens
    assert row["estimated_tokens"] == 0
    assert house.services[0].ledger is not None
    assert not house.services[0].ledger.unwritten_entries


# -- the wall clock ----------------------------------------------------------------------------------------------------


class Clock:
    """The wall clock of this process, which somebody sets."""

    def __init__(self) -> None:
        self._real = time.time
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return self._real() + self.ahead_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Every wall clock of this process; the database's goes on, from the beginning of a minute."""
    clock, began = Clock(), time.monotonic()
    minute = time.time() // 60 * 60
    monkeypatch.setattr(time, "time", clock)
    for user in ("gateway.quotas.errand", "state.allowances"):
        monkeypatch.setattr(f"freehold.serve.{user}.now", lambda _: minute + time.monotonic() - began)
    return clock


def _set_clocks(house: House, clock: Clock) -> None:
    """Where the clock was taken as a default, it is not yet patched."""
    services = house.services[0]
    assert services.keyring is not None and services.quotas is not None
    services.keyring._clock = clock
    services.quotas._clock.wall = clock


async def test_a_clock_that_leaps_revives_no_key_and_breaks_no_limit(clock: Clock, house: House) -> None:
    _set_clocks(house, clock)
    tomorrow = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + DAY_S))
    _, mortal = await house.key(expires=tomorrow)
    _, rated = await house.key(requests_per_minute=3, monthly_tokens=10_000)
    _, single = await house.key(concurrent_requests=1)
    assert (await _ask(house, mortal))[0] == 200
    assert [(await _ask(house, rated))[0] for _ in range(4)] == [200, 200, 200, 429]
    served = 4
    for ahead_s in (2 * DAY_S, 0, -2 * DAY_S, 40 * DAY_S, 0):
        clock.ahead_s = ahead_s
        quotas = house.services[0].quotas
        assert quotas is not None
        await quotas.sync()
        assert (await _ask(house, mortal))[0] == 401, "it has expired, and stays so"
        assert [(await _ask(house, single))[0] for _ in range(3)] == [200] * 3, "its slot is free again"
        served += 3
        assert (await _ask(house, rated))[0] == 429, "the minute is the database's, not this machine's"
    until = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 50 * DAY_S))
    rows = await house.usage(since="60d", until=until)
    assert sum(row["prompt_tokens"] for row in rows) == 7 * served
    assert sum(row["completion_tokens"] for row in rows) == 3 * served


# -- the process -------------------------------------------------------------------------------------------------------


@pytest.fixture
async def engine() -> AsyncIterator[StubEngine]:
    async with StubEngine("tiny", answer_some).listening() as stub:
        yield stub


@pytest.fixture
async def served(stack: AsyncExitStack, home: Path, engine: StubEngine, postgres_url: str) -> Served:
    """A real `freehold serve`."""
    return await stack.enter_async_context(serving(home / "it", engine.base_url, postgres_url))


@pytest.mark.slow
async def test_sigterm_under_load_tears_no_answer_and_loses_no_usage(
    served: Served, stack: AsyncExitStack, home: Path, engine: StubEngine, postgres_url: str
) -> None:
    _, secret = await served.key(monthly_tokens=10**9)
    load = Load(served.url, secret)
    async with load.running(32):
        await load.more(500)
        load.is_stopping = True
        served.process.process.send_signal(signal.SIGTERM)
        status = await asyncio.to_thread(served.process.process.wait, 60)
    assert status == 0, served.process.text
    assert not load.wrong, load.wrong[:3]
    assert load.refused, "the load went on to the end"
    assert "cut off" not in served.process.text
    again = await stack.enter_async_context(serving(home / "other", engine.base_url, postgres_url))
    sums = await again.usage()
    assert sums["prompt_tokens"] + sums["completion_tokens"] == load.tokens
    assert sums["estimated_tokens"] == 0


@pytest.mark.slow
async def test_a_disk_that_is_full_costs_no_answer_and_no_token(served: Served) -> None:
    _, secret = await served.key()
    pid = served.process.process.pid
    load = Load(served.url, secret)
    async with load.running(8):
        await load.more(50)
        soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
        await load.more(300)
        await asyncio.to_thread(served.process.until, r"spool .* cannot be written", 30)
        await load.more(300)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))
        await load.more(50)
    assert not load.wrong, load.wrong[:3]
    sums = await served.usage_of(load.tokens)
    assert sums["prompt_tokens"] + sums["completion_tokens"] == load.tokens
