"""What an answer has used is written down before its client has all of it: a kill after that loses nothing."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest
from fixtures.house import CHAT, MESSAGES, House, bearer, open_house

from freehold.serve.gateway.http.cycle import Cycle
from freehold.serve.gateway.ledger import Ledger

pytestmark = pytest.mark.slow


@pytest.fixture
async def house(database_url: str) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        yield await open_house(stack, database_url)


async def test_an_answer_leaves_after_its_entry(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    _, secret = await house.key(tokens_per_minute=100_000)
    happened: list[str] = []
    push, record = Cycle.push, Ledger.record

    def pushed(cycle: Cycle, body: bytes, **more: Any) -> bool:
        happened.append("sent")
        return push(cycle, body, **more)

    def recorded(ledger: Ledger, entry: Any) -> None:
        happened.append("recorded")
        record(ledger, entry)

    monkeypatch.setattr(Cycle, "push", pushed)
    monkeypatch.setattr(Ledger, "record", recorded)
    async with (
        aiohttp.ClientSession(house.url, headers=bearer(secret)) as client,
        client.post(CHAT, json={"model": "tiny", "messages": MESSAGES}) as answer,
    ):
        assert (answer.status, (await answer.json())["usage"]["total_tokens"]) == (200, 10)
    assert happened == ["recorded", "sent"]
