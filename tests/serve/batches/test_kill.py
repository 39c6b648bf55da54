"""`kill -9` of the gateway in the middle of a batch: each line is in the output once, and paid for once.

The engine lives on in the test, so it knows what it was asked. What each line uses is its own, so sums are exact.
"""

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import openai
import pytest
from fixtures import batch_replica
from fixtures.batch_house import over, results, some, start_batch, sums
from fixtures.journeys import Running, running
from fixtures.stub_engine import Call, StubEngine

from freehold.core.settings import load_settings
from freehold.serve.batches.journal import Journal
from freehold.serve.state.batches import get_batch
from freehold.serve.state.database import Database, open_database
from freehold.serve.state.key_fields import NewKey
from freehold.serve.state.keys import KeyStore
from freehold.serve.state.migrating import migrate

pytestmark = pytest.mark.slow

LINES = 60
KILLS = 3
LIMIT_S = 90.0


class Engine:
    """Answers each line with tokens of its own, after a moment, and remembers how often it was asked."""

    def __init__(self) -> None:
        self.asked: Counter[int] = Counter()
        self.stub = StubEngine("tiny", self.answer)

    async def answer(self, call: Call) -> None:
        number = int(call.json["messages"][0]["content"].rpartition("-")[2])
        self.asked[number] += 1
        await asyncio.sleep(0.1)
        usage = {"prompt_tokens": 100 + number, "completion_tokens": 1, "total_tokens": 101 + number}
        choices = [{"index": 0, "message": {"role": "assistant", "content": str(number)}, "finish_reason": "stop"}]
        await call.reply(json.dumps({"id": "c", "choices": choices, "usage": usage}).encode())


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    made = Engine()
    async with made.stub.listening():
        yield made


@contextmanager
def replica(database_url: str, engine: Engine) -> Iterator[Running]:
    with running(sys.executable, batch_replica.__file__, database_url, engine.stub.base_url, env={}) as process:
        yield process


async def client_of(process: Running, secret: str) -> openai.AsyncOpenAI:
    url = (await asyncio.to_thread(process.until, r"Ready at (\S+) as", LIMIT_S))[1]
    return openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=secret, max_retries=0)


def journaled(batch_id: str) -> set[int]:
    """Lines that have an answer on the disk."""
    path = load_settings().home / "batches" / f"{batch_id}.jsonl"
    return {placed.record.line - 1 for placed in Journal(path).read()} if path.exists() else set()


async def kill_after(process: Running, batch_id: str, answers: int) -> set[int]:
    """Lines that were answered when it was dead."""
    for _ in range(int(LIMIT_S / 0.02)):
        if len(journaled(batch_id)) >= answers:
            break
        await asyncio.sleep(0.02)
    os.kill(process.process.pid, signal.SIGKILL)
    await asyncio.to_thread(process.process.wait)
    return journaled(batch_id)


async def test_each_line_is_answered_and_paid_for_once(database_url: str, database: Database, engine: Engine) -> None:
    _, secret = KeyStore(database).create(NewKey(name="test", team="acme"))
    batch_id, before = "", set[int]()
    for kill in range(1, KILLS + 1):
        with replica(database_url, engine) as process:
            async with await client_of(process, secret) as client:
                if not batch_id:
                    batch_id = (await start_batch(client, some(LINES))).id
                before_this, asked = before, Counter(engine.asked)
                before = await kill_after(process, batch_id, kill * LINES // (KILLS + 2))
                assert before >= before_this and len(before) < LINES
                again = {number for number in before_this if engine.asked[number] > asked[number]}
                assert not again, "a line that had its answer was asked again"
    with replica(database_url, engine) as process:
        async with await client_of(process, secret) as client:
            done = await over(client, batch_id, LIMIT_S)
            answers = await results(client, done.output_file_id)
    assert (done.status, done.request_counts.completed, done.error_file_id) == ("completed", LINES, None)
    assert [answer["custom_id"] for answer in answers] == [f"line-{number}" for number in range(LINES)]
    used = [answer["response"]["body"]["usage"]["prompt_tokens"] for answer in answers]
    assert used == [100 + number for number in range(LINES)]
    counted = database.call(sums)
    assert (counted["requests"], counted["errors"], counted["estimated_tokens"]) == (LINES, 0, 0)
    assert (counted["prompt_tokens"], counted["completion_tokens"]) == (sum(used), LINES)
    assert all(engine.asked[number] >= 1 for number in range(LINES))
    # What was in flight at a kill was asked again: at most four lines at each of the kills.
    assert sum(engine.asked.values()) - LINES <= 4 * KILLS
    assert not (load_settings().home / "batches" / f"{batch_id}.jsonl").exists()


async def test_another_replica_takes_over_from_one_that_died(postgres_url: str, engine: Engine) -> None:
    database = open_database(postgres_url)
    migrate(database)
    _, secret = KeyStore(database).create(NewKey(name="test", team="acme"))
    with replica(postgres_url, engine) as first, replica(postgres_url, engine) as second:
        async with await client_of(first, secret) as ours, await client_of(second, secret) as theirs:
            batch = await start_batch(ours, some(LINES))
            for _ in range(int(LIMIT_S / 0.02)):
                if len(journaled(batch.id)) >= 10:
                    break
                await asyncio.sleep(0.02)
            runner = database.call(lambda connection: get_batch(connection, batch.id, None)).runner
            dies, client = (first, theirs) if f"as {runner}." in first.text else (second, ours)
            assert f"as {runner}." in dies.text, "one of the two works on it"
            before = await kill_after(dies, batch.id, 10)
            asked = Counter(engine.asked)
            done = await over(client, batch.id, LIMIT_S)
            answers = await results(client, done.output_file_id)
    assert not {number for number in before if engine.asked[number] > asked[number]}
    assert [answer["custom_id"] for answer in answers] == [f"line-{number}" for number in range(LINES)]
    counted = database.call(sums)
    assert (counted["requests"], counted["errors"]) == (LINES, 0)
    assert counted["prompt_tokens"] == sum(100 + number for number in range(LINES))
    database.close()
