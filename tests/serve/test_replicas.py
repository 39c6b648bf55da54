"""Three `freehold serve` processes on one PostgreSQL: one budget, one list of keys, and one of them killed."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import psycopg
import pytest
from fixtures.house import CHAT, MESSAGES, bearer
from fixtures.served import PROMPT_TOKENS, Served, answer_some, serving
from fixtures.stub_engine import SSE, Call, StubEngine

from freehold.serve.gateway import new_event_loop

pytestmark = pytest.mark.slow

CLIENTS = 200
MOST = 100
"""Tokens of an answer, at most."""


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": new_event_loop}


@pytest.fixture
async def engine() -> AsyncIterator[StubEngine]:
    async with StubEngine("tiny", answer_some).listening() as stub:
        yield stub


Start = Callable[..., Awaitable[Served]]


@pytest.fixture
async def start(home: Path, engine: StubEngine, postgres_url: str) -> AsyncIterator[Start]:
    """Start a replica in the data folder of that name."""
    async with AsyncExitStack() as stack:

        async def begin(name: str) -> Served:
            replica = serving(home / name, engine.base_url, postgres_url, drainTimeoutS=1)
            return await stack.enter_async_context(replica)

        yield begin


@dataclass
class Tally:
    """What the clients of one budget have seen."""

    tokens: int = 0
    served: dict[str, int] = field(default_factory=dict)
    refused: int = 0
    wrong: list[str] = field(default_factory=list)


async def _spend(urls: list[str], number: int, client: aiohttp.ClientSession, tally: Tally) -> None:
    """One request after the other, to the replicas in turn, until the month's budget is used up."""
    while True:
        number += 1
        url = urls[number % len(urls)]
        async with client.post(url + CHAT, json={"model": "tiny", "max_tokens": MOST, "messages": MESSAGES}) as answer:
            body = await answer.json()
            if answer.status == 200:
                tally.tokens += body["usage"]["total_tokens"]
                tally.served[url] = tally.served.get(url, 0) + 1
                continue
            wait_s = answer.headers.get("retry-after", "")
            if answer.status != 429 or not wait_s.isdecimal() or body["error"]["code"] != "insufficient_quota":
                tally.wrong.append(f"{answer.status} {wait_s!r} {body}")
                return
            tally.refused += 1
        if int(wait_s) > 1:
            return
        await asyncio.sleep(0.1)


async def test_two_hundred_clients_keep_one_budget_over_three_processes(start: Start) -> None:
    replicas = await asyncio.gather(*(start(name) for name in "abc"))
    budget = 100_000
    _, secret = await replicas[0].key(monthly_tokens=budget)
    urls, tally = [replica.url for replica in replicas], Tally()
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(headers=bearer(secret), connector=connector) as client:
        await asyncio.gather(*(_spend(urls, number, client, tally) for number in range(CLIENTS)))
    assert not tally.wrong, tally.wrong[:3]
    assert tally.refused >= CLIENTS
    assert set(tally.served) == set(urls), "each replica had a part of it"
    sums = await replicas[0].usage_of(tally.tokens)
    assert sums["prompt_tokens"] + sums["completion_tokens"] == tally.tokens
    assert 0.9 * budget <= tally.tokens <= budget + PROMPT_TOKENS + MOST


async def _stall(call: Call) -> None:
    """The beginning of a stream, and nothing more."""
    if not (call.body and call.json.get("stream")):
        await answer_some(call)
        return
    await call.start(content_type=SSE)
    await call.chunk(b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n')
    await call.left.wait()


async def _ask(url: str, secret: str, most: int) -> tuple[int, int, str]:
    """Status, tokens used, and the error's code of one request."""
    body = {"model": "tiny", "max_tokens": most, "messages": MESSAGES}
    async with aiohttp.ClientSession(headers=bearer(secret)) as client, client.post(url + CHAT, json=body) as answer:
        told = json.loads(await answer.read())
        code = told.get("error", {}).get("code", "")
        assert answer.status == 200 or int(answer.headers["retry-after"]) > 0
        return answer.status, told.get("usage", {}).get("total_tokens", 0), code


def _let_leases_run_out(database_url: str) -> None:
    """As if their thirty seconds had passed; those of replicas that live are renewed long before."""
    with psycopg.connect(database_url) as connection:
        assert connection.execute("update lease set expires_at = expires_at - 30").rowcount > 0


async def test_a_killed_replica_keeps_nothing_of_a_budget_and_loses_no_usage(
    start: Start, engine: StubEngine, postgres_url: str
) -> None:
    killed, other = await asyncio.gather(start("a"), start("b"))
    _, secret = await killed.key(monthly_tokens=1000)
    _, plain = await killed.key()
    engine.answer = _stall
    body = {"model": "tiny", "max_tokens": 800, "messages": MESSAGES, "stream": True}
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(aiohttp.ClientSession(headers=bearer(secret)))
        stream = await client.post(killed.url + CHAT, json=body)
        await stream.content.readany()
        assert (await _ask(other.url, secret, 500))[::2] == (429, "insufficient_quota")
        # Usage that the database does not get: its table is locked until the replica is dead.
        locking = stack.enter_context(psycopg.connect(postgres_url))
        locking.execute("lock table usage in access exclusive mode")
        spooled = [await _ask(killed.url, plain, 50) for _ in range(20)]
        assert {status for status, _, _ in spooled} == {200}
        killed.process.process.send_signal(signal.SIGKILL)
        with pytest.raises(aiohttp.ClientError):
            await stream.read()
        killed.process.process.wait()
    assert (await other.usage())["prompt_tokens"] == 0

    assert (await _ask(other.url, secret, 500))[::2] == (429, "insufficient_quota"), "its lease has not run out"
    await asyncio.to_thread(_let_leases_run_out, postgres_url)
    async with asyncio.timeout(30):
        while (found := await _ask(other.url, secret, 500))[0] != 200:
            await asyncio.sleep(0.1)

    again = await start("a")
    counted = sum(tokens for _, tokens, _ in spooled) + found[1]
    sums = await again.usage_of(counted)
    assert sums["prompt_tokens"] + sums["completion_tokens"] == counted
    assert sums["prompt_tokens"] == PROMPT_TOKENS * (len(spooled) + 1)


async def test_a_revoked_key_is_out_on_all_replicas(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    one, *others = await asyncio.gather(*(start(name) for name in "abc"))
    key_id, secret = await one.key()

    async def until_refused(url: str) -> float:
        async with asyncio.timeout(30):
            while (await _ask_plainly(url, secret)) != 401:
                await asyncio.sleep(0.005)
        return time.monotonic() - revoked_at

    for replica in (one, *others):
        assert await _ask_plainly(replica.url, secret) == 200
    async with one.admin() as admin, admin.delete(f"/admin/v1/keys/{key_id}") as answer:
        assert answer.status == 200
    revoked_at = time.monotonic()
    assert await _ask_plainly(one.url, secret) == 401, "at once where it was revoked"
    took_s = await asyncio.gather(*(until_refused(replica.url) for replica in others))
    with capsys.disabled():
        print(f" (revoked on the others after {', '.join(f'{each:.2f} s' for each in took_s)})", end="")


async def _ask_plainly(url: str, secret: str) -> int:
    async with aiohttp.ClientSession(headers=bearer(secret)) as client, client.get(f"{url}/v1/models") as answer:
        return answer.status
