"""Batches of a real `freehold serve` with two workers, which is told to stop in the middle of one."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import openai
import pytest
from fixtures.batch_house import CHAT, over, results, some, start_batch
from fixtures.house import answer_three
from fixtures.served import Served, serving
from fixtures.stub_engine import Call, StubEngine

pytestmark = pytest.mark.slow

LINES = 60
FREE = 30
"""Lines that the engine answers at once; later ones wait until the test lets them go."""


@pytest.fixture
def released() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
async def engine(released: asyncio.Event) -> AsyncIterator[StubEngine]:
    async def answer(call: Call) -> None:
        if call.target == "/v1/models":
            await call.reply(b'{"data": [{"id": "tiny", "max_model_len": 1000}]}')
            return
        if len(calls(stub)) > FREE:
            await released.wait()
        await asyncio.sleep(0.1)
        await answer_three(call)

    async with StubEngine("tiny", answer).listening() as stub:
        yield stub


def client_of(served: Served, secret: str) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key=secret, max_retries=0)


async def until_draining(served: Served) -> None:
    """Return when no worker starts anything more: each connection may land on either."""
    drains = 0
    async with asyncio.timeout(60):
        while drains < 16:
            drains = drains + 1 if await is_draining(served) else 0


async def is_draining(served: Served) -> bool:
    try:
        async with aiohttp.ClientSession(served.url) as client, client.get("/ready") as page:
            return str((await page.json())["status"]) == "draining"
    except aiohttp.ClientError:
        return True


async def test_workers_finish_what_others_began(
    home: Path, engine: StubEngine, released: asyncio.Event, database_url: str
) -> None:
    config = {"sections": {"batches": {"concurrency": 2}}, "workers": 2, "drainTimeoutS": 30}
    async with serving(home, engine.base_url, database_url, **config) as first:  # type: ignore[arg-type]
        _, secret = await first.key(team="acme")
        async with client_of(first, secret) as client:
            batch = await start_batch(client, some(LINES))
            while (await client.batches.retrieve(batch.id)).request_counts.completed < LINES // 4:
                await asyncio.sleep(0.05)
        os.kill(first.process.process.pid, signal.SIGTERM)
        await until_draining(first)
        released.set()
        assert await asyncio.to_thread(first.process.process.wait, 60) == 0
    assert len(calls(engine)) < LINES
    async with serving(home, engine.base_url, database_url, **config) as second:  # type: ignore[arg-type]
        async with client_of(second, secret) as client:
            done = await over(client, batch.id)
            answers = await results(client, done.output_file_id)
        assert (done.status, done.request_counts.completed) == ("completed", LINES)
        assert len({answer["custom_id"] for answer in answers}) == LINES
        assert len(calls(engine)) == LINES, "lines that ran had the drain to end in: none was asked twice"
        used = await second.usage_of(10 * LINES)
        assert (used["requests"], used["errors"]) == (LINES, 0)


def calls(engine: StubEngine) -> list[Call]:
    return [call for call in engine.calls if call.target == CHAT]
