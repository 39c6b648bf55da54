"""How long an engine that is to be unloaded is waited for."""

import aiohttp
import pytest
from fixtures.console import answer_as_vllm
from fixtures.stub_engine import Answer, Call, StubEngine

from freehold.serve.loading.following import _is_busy

IDLE = b"vllm:num_requests_running 0.0\nvllm:num_requests_waiting 0.0\nvllm:kv_cache_usage_perc 0.0\n"


async def idle(call: Call) -> None:
    await call.reply(IDLE, content_type="text/plain")


async def torn(call: Call) -> None:
    call.die()


async def is_busy(answer: Answer, timeout_s: float = 60.0) -> bool:
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    async with StubEngine("alpha", answer).listening() as engine, aiohttp.ClientSession(timeout=timeout) as session:
        return await _is_busy(session, engine)


@pytest.mark.parametrize(("answer", "expected"), [(answer_as_vllm, True), (idle, False), (torn, False)])
async def test_an_engine_is_waited_for_as_its_numbers_say(answer: Answer, expected: bool) -> None:
    assert await is_busy(answer) is expected


async def test_one_that_is_slow_to_tell_its_numbers_is_waited_for() -> None:
    async def silent(call: Call) -> None:
        await call.left.wait()

    assert await is_busy(silent, timeout_s=0.2)


async def test_one_that_is_gone_is_not() -> None:
    engine = StubEngine("alpha", idle)
    async with engine.listening():
        pass
    async with aiohttp.ClientSession() as session:
        assert not await _is_busy(session, engine)
