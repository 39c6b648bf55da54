"""What an answer has used is written down before its client has all of it: a kill after that loses nothing."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest
from fixtures.house import CHAT, MESSAGES, House, answer_three, bearer, open_house
from fixtures.stub_engine import Answer, Call

from freehold.serve.gateway.http.cycle import Cycle
from freehold.serve.gateway.ledger import Ledger

pytestmark = pytest.mark.slow


@pytest.fixture
async def house(database_url: str) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        yield await open_house(stack, database_url)


async def in_pieces(call: Call) -> None:
    """An answer of an engine that does not say how long it is."""
    body = json.dumps({"usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}}).encode()
    await call.start(content_type="application/json")
    await call.chunk(body[:10])
    await call.chunk(body[10:])
    await call.end()


@pytest.mark.parametrize(("answer", "asked"), [(answer_three, {}), (in_pieces, {}), (answer_three, {"stream": True})])
async def test_the_end_of_an_answer_leaves_after_its_entry(
    house: House, monkeypatch: pytest.MonkeyPatch, answer: Answer, asked: dict[str, Any]
) -> None:
    _, secret = await house.key(tokens_per_minute=100_000)
    house.engines["tiny"].answer = answer
    happened: list[str] = []
    push, record = Cycle.push, Ledger.record

    def pushed(cycle: Cycle, body: bytes, *, more: bool = True) -> bool:
        happened.append("sent a piece" if more else "sent the end")
        return push(cycle, body, more=more)

    def recorded(ledger: Ledger, entry: Any) -> None:
        happened.append("recorded")
        record(ledger, entry)

    monkeypatch.setattr(Cycle, "push", pushed)
    monkeypatch.setattr(Ledger, "record", recorded)
    async with (
        aiohttp.ClientSession(house.url, headers=bearer(secret)) as client,
        client.post(CHAT, json={"model": "tiny", "messages": MESSAGES, **asked}) as got,
    ):
        assert got.status == 200
        text = await got.read()
    assert b"[DONE]" in text if asked else json.loads(text)["usage"]["total_tokens"] == 10
    assert happened[-2:] == ["recorded", "sent the end"]
    assert set(happened[:-2]) <= {"sent a piece"}
