"""Unmodified clients: another base URL is all that changes."""

import asyncio

import openai
import pytest
from fixtures.stub_engine import SSE, Call, StubEngine
from openai import AsyncOpenAI

from freehold.core.errors import FreeholdError
from freehold.serve.engines.engine import EngineState
from freehold.serve.gateway import GatewayServer

QUESTION = [{"role": "user", "content": "What is the capital of France?"}]


@pytest.fixture
async def openai_client(gateway: GatewayServer):  # type: ignore[no-untyped-def]
    async with AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="any", max_retries=0) as client:
        yield client


async def test_openai_asks_and_is_answered(openai_client: AsyncOpenAI) -> None:
    answer = await openai_client.chat.completions.create(model="tiny", messages=QUESTION)  # type: ignore[arg-type]
    assert answer.choices[0].message.content == "Paris"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 5


@pytest.mark.parametrize("include_usage", [True, False])
async def test_openai_streams(include_usage: bool, openai_client: AsyncOpenAI) -> None:
    stream = await openai_client.chat.completions.create(
        model="tiny",
        messages=QUESTION,  # type: ignore[arg-type]
        stream=True,
        stream_options={"include_usage": include_usage},
    )
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Paris"
    assert sum(chunk.usage is not None for chunk in chunks) == include_usage


async def test_openai_lists_models(openai_client: AsyncOpenAI) -> None:
    assert [model.id async for model in openai_client.models.list()] == ["tiny", "org/other"]
    assert (await openai_client.models.retrieve("org/other")).id == "org/other"


async def test_openai_understands_the_refusals(openai_client: AsyncOpenAI, engine: StubEngine) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        await openai_client.chat.completions.create(model="gpt-9", messages=QUESTION)  # type: ignore[arg-type]
    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
    engine.state = EngineState.STARTING
    with pytest.raises(openai.InternalServerError) as starting:
        await openai_client.chat.completions.create(model="tiny", messages=QUESTION)  # type: ignore[arg-type]
    assert (starting.value.status_code, starting.value.code) == (503, "model_not_ready")


async def test_openai_understands_an_engine_lost_in_a_stream(openai_client: AsyncOpenAI, engine: StubEngine) -> None:
    async def die(call: Call) -> None:
        await call.start(content_type=SSE)
        await call.chunk(b'data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[]}\n\n')
        await asyncio.sleep(0.02)
        call.die()

    engine.answer = die
    stream = await openai_client.chat.completions.create(model="tiny", messages=QUESTION, stream=True)  # type: ignore[arg-type]
    with pytest.raises(openai.APIError, match="'tiny' was lost in the middle"):
        async for _ in stream:
            pass


async def test_openai_uploads_audio(openai_client: AsyncOpenAI, engine: StubEngine) -> None:
    engine.answer = lambda call: call.reply(b'{"text": "hello"}')
    heard = await openai_client.audio.transcriptions.create(model="tiny", file=("a.wav", b"RIFF" * 1000))
    assert heard.text == "hello"


async def test_anthropic_asks_lists_and_understands_a_refusal(gateway: GatewayServer, engine: StubEngine) -> None:
    anthropic = pytest.importorskip("anthropic")
    engine.answer = lambda call: call.reply(
        b'{"id":"msg_1","type":"message","role":"assistant","model":"tiny","content":[{"type":"text","text":"Paris"}],'
        b'"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":2}}'
    )
    async with anthropic.AsyncAnthropic(base_url=gateway.url, api_key="any", max_retries=0) as client:
        answer = await client.messages.create(model="tiny", max_tokens=9, messages=QUESTION)
        assert answer.content[0].text == "Paris"
        assert [model.id async for model in client.models.list()] == ["tiny", "org/other"]
        with pytest.raises(anthropic.NotFoundError, match="gpt-9"):
            await client.messages.create(model="gpt-9", max_tokens=9, messages=QUESTION)
    assert b'completion_tokens_total{model="tiny"} 2.0' in gateway.gateway.metrics.render()


def test_every_refusal_is_of_the_one_tree() -> None:
    from freehold.serve.gateway import errors

    classes = [item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, Exception)]
    assert classes
    assert all(issubclass(item, FreeholdError) for item in classes)
