"""Errors as each SDK's own exceptions: refusals of the real engine, and faults that a stub engine stages."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import openai
import pytest
from anthropic import Anthropic, AsyncAnthropic
from fixtures.compatibility import Api
from fixtures.journeys import MODEL
from fixtures.requests import ASK, GREEDY
from fixtures.stub_engine import SSE, Call, StubEngine
from openai import AsyncOpenAI, OpenAI

from freehold.serve.config import GatewayConfig
from freehold.serve.engines.engine import EngineState
from freehold.serve.gateway import serve_gateway

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]
BY_OPENAI, BY_ANTHROPIC = Api("Errors", "openai"), Api("Errors", "anthropic")
TOO_LONG = [{"role": "user", "content": "word " * 1100}]
BOTH_NUMBERS = r"maximum context length is 1024 tokens.* prompt contains at least \d{4} input tokens"
COMPLETION = b'{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[]}'
CHUNK = b'data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[]}\n\n'
MESSAGE_START = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"1","type":"message","role":"assistant",'
    b'"model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":0}}}\n\n'
)


@BY_OPENAI.refused("a prompt longer than the context", "`BadRequestError` with both numbers")
@pytest.mark.parametrize("api", ["chat", "completions", "responses"])
def test_a_long_prompt_by_openai(client: OpenAI, api: str) -> None:
    with pytest.raises(openai.BadRequestError, match=BOTH_NUMBERS):
        if api == "chat":
            client.chat.completions.create(model=MODEL, messages=TOO_LONG, max_tokens=2)
        elif api == "completions":
            client.completions.create(model=MODEL, prompt=TOO_LONG[0]["content"], max_tokens=2)
        else:
            client.responses.create(model=MODEL, input=TOO_LONG[0]["content"], max_output_tokens=2)


@BY_ANTHROPIC.refused("a prompt longer than the context", "`BadRequestError` with both numbers")
def test_a_long_prompt_by_anthropic(claude: Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match=BOTH_NUMBERS):
        claude.messages.create(model=MODEL, messages=TOO_LONG, max_tokens=2)


@BY_OPENAI.refused("a value out of range", "`BadRequestError`, `param` names it")
@pytest.mark.parametrize(
    ("more", "param"),
    [({"temperature": -3}, "temperature"), ({"max_tokens": 5000}, "max_tokens"), ({"top_p": "x"}, "body.top_p")],
)
def test_a_value_out_of_range(client: OpenAI, more: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError, match=param) as refused:
        client.chat.completions.create(**{"model": MODEL, **GREEDY, **more})
    assert refused.value.param == param


@BY_OPENAI.refused("an unknown model", "`NotFoundError`, the message lists the models")
def test_an_unknown_model_by_openai(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match=f"gpt-9.*{MODEL}") as unknown:
        client.chat.completions.create(model="gpt-9", messages=ASK)
    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")


@BY_ANTHROPIC.refused("an unknown model", "`NotFoundError`, the message lists the models")
def test_an_unknown_model_by_anthropic(claude: Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError, match=f"claude-9.*{MODEL}") as unknown:
        claude.messages.create(model="claude-9", messages=ASK, max_tokens=2)
    assert unknown.value.body["error"]["type"] == "not_found_error"  # type: ignore[index]


@BY_ANTHROPIC.lacks("Anthropic's envelope and error types", "`BadRequestError`, but the engine's envelope and names")
def test_the_envelope_of_a_refused_message(claude: Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match="max_tokens") as invalid:
        claude.messages.create(model=MODEL, messages=ASK, max_tokens=0)
    assert "type" not in invalid.value.body  # type: ignore[operator]
    with pytest.raises(anthropic.BadRequestError) as refused:
        claude.messages.create(model=MODEL, messages=TOO_LONG, max_tokens=2)
    assert refused.value.body["error"]["type"] == "BadRequestError"  # type: ignore[index]


@pytest.fixture
async def engine() -> AsyncIterator[StubEngine]:
    """An engine of the model `tiny` that does as it is told."""
    async with StubEngine("tiny", lambda call: call.reply(COMPLETION)).listening() as stub:
        yield stub


@pytest.fixture
async def url(engine: StubEngine) -> AsyncIterator[str]:
    """A gateway in front of that engine."""
    config = GatewayConfig.model_validate({"port": 0, "drain_timeout_s": 0})
    async with serve_gateway({engine.name: engine}, config) as gateway:
        yield gateway.url


def _openai(url: str, **options: Any) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{url}/v1", api_key="none", **{"max_retries": 0, **options})


@BY_OPENAI.refused("an engine that is down", "`InternalServerError` 503 with `retry-after`")
async def test_an_engine_that_is_down_by_openai(url: str, engine: StubEngine) -> None:
    engine.state = EngineState.STARTING
    async with _openai(url) as client:
        with pytest.raises(openai.InternalServerError, match="'tiny' is not ready") as down:
            await client.chat.completions.create(model="tiny", messages=ASK)
    assert down.value.status_code == 503 and int(down.value.response.headers["retry-after"]) > 0


@BY_ANTHROPIC.refused("an engine that is down", "`APIStatusError` 503, overloaded_error")
async def test_an_engine_that_is_down_by_anthropic(url: str, engine: StubEngine) -> None:
    engine.state = EngineState.STARTING
    async with AsyncAnthropic(base_url=url, api_key="none", max_retries=0) as client:
        with pytest.raises(anthropic.APIStatusError, match="'tiny' is not ready") as down:
            await client.messages.create(model="tiny", messages=ASK, max_tokens=2)
    assert down.value.status_code == 503
    assert down.value.body["error"]["type"] == "overloaded_error"  # type: ignore[index]


@BY_OPENAI.works("the client's timeout", "`APITimeoutError`, and the engine's request is aborted")
async def test_a_timeout(url: str, engine: StubEngine) -> None:
    async def wait(call: Call) -> None:
        await call.left.wait()

    engine.answer = wait
    async with _openai(url, timeout=5) as client:
        with pytest.raises(openai.APITimeoutError):
            await client.chat.completions.create(model="tiny", messages=ASK)
    await asyncio.wait_for(engine.calls[0].left.wait(), 10)


def _torn(first: bytes) -> Any:
    async def tear(call: Call) -> None:
        await call.start(content_type=SSE)
        await call.chunk(first)
        await asyncio.sleep(0.02)  # so that it arrives as an event of its own
        call.die()

    return tear


@BY_OPENAI.works("an engine lost in a stream", "`APIError`, never a clean end")
async def test_a_torn_stream_by_openai(url: str, engine: StubEngine) -> None:
    engine.answer = _torn(CHUNK)
    async with _openai(url) as client:
        stream = await client.chat.completions.create(model="tiny", messages=ASK, stream=True)
        with pytest.raises(openai.APIError, match="'tiny' was lost"):
            async for _ in stream:
                pass


@BY_ANTHROPIC.works("an engine lost in a stream", "`APIStatusError`, never a clean end")
async def test_a_torn_stream_by_anthropic(url: str, engine: StubEngine) -> None:
    engine.answer = _torn(MESSAGE_START)
    async with AsyncAnthropic(base_url=url, api_key="none", max_retries=0) as client:
        stream = await client.messages.create(model="tiny", messages=ASK, max_tokens=2, stream=True)
        with pytest.raises(anthropic.APIStatusError, match="'tiny' was lost"):
            async for _ in stream:
                pass


@BY_OPENAI.works("retries of the SDK after a 503")
async def test_the_sdk_tries_again_after_a_503(url: str, engine: StubEngine) -> None:
    async def recover(call: Call) -> None:
        if len(engine.calls) < 3:
            await call.reply(b'{"error":{"message":"busy"}}', 503, retry_after_ms="1")
        else:
            await call.reply(COMPLETION)

    engine.answer = recover
    async with _openai(url, max_retries=2) as client:
        assert (await client.chat.completions.create(model="tiny", messages=ASK)).id == "1"
    assert len(engine.calls) == 3


@BY_OPENAI.works("retries of the SDK after a lost engine", "the gateway itself sends nothing twice")
async def test_the_sdk_tries_again_after_a_lost_engine(url: str, engine: StubEngine) -> None:
    async def recover(call: Call) -> None:
        if len(engine.calls) < 2:
            call.die()
        else:
            await call.reply(COMPLETION)

    engine.answer = recover
    async with _openai(url) as client:
        with pytest.raises(openai.InternalServerError) as lost:
            await client.chat.completions.create(model="tiny", messages=ASK)
    assert lost.value.status_code == 502 and len(engine.calls) == 1
    engine.calls.clear()
    async with _openai(url, max_retries=1) as client:
        assert (await client.chat.completions.create(model="tiny", messages=ASK)).id == "1"
    assert len(engine.calls) == 2
