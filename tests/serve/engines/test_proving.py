"""What is asked of an engine before it counts as ready."""

import aiohttp
import pytest
from fixtures.stub_engine import Call, StubEngine

from freehold.serve.engines import proving
from freehold.serve.engines.proving import context_tokens

LISTING = b'{"data": [{"id": "tiny", "max_model_len": 256}]}'


async def told(engine: StubEngine) -> int | None:
    async with aiohttp.ClientSession() as session:
        return await context_tokens(session, engine.base_url, "tiny")


async def test_an_engine_that_is_slow_at_first_is_asked_for_its_context_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proving, "HEALTH_TIMEOUT_S", 0.5)

    async def answer(call: Call) -> None:
        if len(engine.calls) == 1:
            await call.left.wait()
        else:
            await call.reply(LISTING)

    engine = StubEngine("tiny", answer)
    async with engine.listening():
        assert await told(engine) == 256


async def test_an_engine_that_never_tells_its_context_is_not_asked_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proving, "HEALTH_TIMEOUT_S", 0.05)
    monkeypatch.setattr(proving, "LISTING_TRIES", 3)

    async def silent(call: Call) -> None:
        await call.left.wait()

    async with StubEngine("tiny", silent).listening() as engine:
        assert await told(engine) is None


async def test_an_engine_that_is_gone_is_not_asked_again() -> None:
    async def die(call: Call) -> None:
        call.die()

    async with StubEngine("tiny", die).listening() as engine:
        assert await told(engine) is None
        assert len(engine.calls) <= 2, "the client itself may ask once more on a lost connection"
