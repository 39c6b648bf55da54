"""A real gateway on a real port, in front of stub engines."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import aiohttp
import pytest
from fixtures.stub_engine import Call, StubEngine

from freehold.serve.config import GatewayConfig
from freehold.serve.gateway import GatewayServer, new_event_loop, serve_gateway


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that it runs on in production."""
    return {"uvloop": new_event_loop}


async def answer_chat(call: Call) -> None:
    """A short chat completion, streamed if that was asked for."""
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    about = {"id": "chatcmpl-1", "created": 1, "model": "tiny"}
    if call.body and call.json.get("stream"):
        await call.start(content_type="text/event-stream; charset=utf-8")
        for text in ("Par", "is"):
            choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
            event = {**about, "object": "chat.completion.chunk", "choices": [choice]}
            await call.chunk(f"data: {json.dumps(event)}\n\n".encode())
        if call.json.get("stream_options", {}).get("include_usage"):
            event = {**about, "object": "chat.completion.chunk", "choices": [], "usage": usage}
            await call.chunk(f"data: {json.dumps(event)}\n\n".encode())
        await call.chunk(b"data: [DONE]\n\n")
        await call.end()
        return
    message = {"role": "assistant", "content": "Paris"}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    answer = {**about, "object": "chat.completion", "choices": choices, "usage": usage}
    await call.reply(json.dumps(answer).encode())


@pytest.fixture
async def engine() -> AsyncIterator[StubEngine]:
    """The engine of the model `tiny`."""
    async with StubEngine("tiny", answer_chat).listening() as stub:
        yield stub


@pytest.fixture
async def other() -> AsyncIterator[StubEngine]:
    """A second engine, of the model `org/other`."""
    async with StubEngine("org/other", answer_chat).listening() as stub:
        yield stub


Serve = Callable[..., Awaitable[GatewayServer]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start a gateway in front of these engines; keywords are fields of its config."""
    async with AsyncExitStack() as stack:

        async def start(*engines: StubEngine, **fields: object) -> GatewayServer:
            config = GatewayConfig.model_validate({"port": 0, "drain_timeout_s": 0, **fields})
            return await stack.enter_async_context(serve_gateway({item.name: item for item in engines}, config))

        yield start


@pytest.fixture
async def gateway(engine: StubEngine, other: StubEngine, serve: Serve) -> GatewayServer:
    """A gateway in front of both engines."""
    return await serve(engine, other)


@pytest.fixture
async def client(gateway: GatewayServer) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of that gateway which shows bodies as they travelled."""
    async with aiohttp.ClientSession(gateway.url, auto_decompress=False) as session:
        yield session
