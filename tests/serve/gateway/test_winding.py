"""A client that leaves stops the engine, which still tells what it has used."""

import asyncio
import functools
import json
from collections.abc import Callable

import aiohttp
import pytest
from fixtures.stub_engine import SSE, Call, StubEngine

from freehold.serve.gateway import GatewayServer
from freehold.serve.gateway.connection import EngineConnection
from freehold.serve.gateway.winding import ABORT_PATH

Serve = Callable[..., object]
CHAT = "/v1/chat/completions"


class AbortingEngine:
    """Streams until it is aborted by the request's id, then tells its usage: what vLLM does."""

    def __init__(self, prefix: str, usage: dict[str, int]) -> None:
        self.prefix = prefix
        self.usage = usage
        self.streams: dict[str, asyncio.Event] = {}
        self.aborted: list[str] = []

    async def answer(self, call: Call) -> None:
        if call.target.encode() == ABORT_PATH:
            for name in call.json["request_ids"]:
                self.aborted.append(name)
                self.streams[name].set()
            await call.reply(b"")
            return
        name = self.prefix + (call.header("x-request-id") or "")
        stopped = self.streams[name] = asyncio.Event()
        await call.start(content_type=SSE)
        await call.chunk(b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n')
        await stopped.wait()
        event = {"choices": [], "usage": self.usage}
        await call.chunk(f"data: {json.dumps(event)}\n\ndata: [DONE]\n\n".encode())
        await call.end()


async def _metric(client: aiohttp.ClientSession, name: str) -> float:
    async with client.get("/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))


async def _until(value: Callable[[], object], wanted: object) -> None:
    async with asyncio.timeout(10):
        while value() != wanted:
            await asyncio.sleep(0.01)


async def _idle(client: aiohttp.ClientSession) -> None:
    async with asyncio.timeout(10):
        while await _metric(client, "freehold_requests_in_flight"):
            await asyncio.sleep(0.01)


async def _leave(client: aiohttp.ClientSession, path: str, **fields: object) -> None:
    async with client.post(path, json={"model": "tiny", "stream": True, **fields}) as answer:
        await answer.content.readany()
        answer.close()


async def _leave_unanswered(
    client: aiohttp.ClientSession, engine: StubEngine, path: str, request: dict[str, str]
) -> None:
    asking = asyncio.create_task(client.post(path, json=request))
    await asyncio.wait_for(engine.arrived.wait(), 60)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


@pytest.mark.parametrize(("path", "prefix"), [(CHAT, "chatcmpl-"), ("/v1/messages", "chatcmpl-")])
async def test_the_engine_is_stopped_and_its_last_words_are_counted(
    path: str, prefix: str, client: aiohttp.ClientSession, engine: StubEngine
) -> None:
    aborting = AbortingEngine(prefix, {"prompt_tokens": 7, "completion_tokens": 5})
    engine.can_abort, engine.answer = True, aborting.answer
    await _leave(client, path)
    await _until(lambda: len(aborting.aborted), 1)
    await _idle(client)
    assert await _metric(client, "freehold_completion_tokens_total") == 5
    assert await _metric(client, f'freehold_requests_total{{model="tiny",path="{path}",status="499"}}') == 1
    assert not engine.calls[0].left.is_set(), "the connection is as good as new"


async def test_what_was_stopped_before_its_first_token_costs_nothing(
    client: aiohttp.ClientSession, engine: StubEngine, gateway: GatewayServer
) -> None:
    aborting = AbortingEngine("chatcmpl-", {"prompt_tokens": 7, "completion_tokens": 0})
    engine.can_abort, engine.answer = True, aborting.answer
    seen = []
    conclude = gateway.gateway._relay.winding._conclude
    gateway.gateway._relay.winding._conclude = lambda attempt: (seen.append(attempt.tokens()), conclude(attempt))[0]
    await _leave(client, CHAT)
    await _until(lambda: [(tuple(usage), estimated) for usage, estimated in seen], [((0, 0, 0), 0)])


async def test_two_clients_with_the_same_id_do_not_stop_one_another(
    client: aiohttp.ClientSession, engine: StubEngine
) -> None:
    aborting = AbortingEngine("chatcmpl-", {"prompt_tokens": 1, "completion_tokens": 1})
    engine.can_abort, engine.answer = True, aborting.answer
    headers = {"x-request-id": "mine"}
    async with client.post(CHAT, json={"model": "tiny", "stream": True}, headers=headers) as stays:
        await stays.content.readany()
        async with client.post(CHAT, json={"model": "tiny", "stream": True}, headers=headers) as leaves:
            await leaves.content.readany()
            leaves.close()
        await _until(lambda: len(aborting.aborted), 1)
        names = list(aborting.streams)
        assert aborting.aborted == names[1:]
        assert all(name.startswith("chatcmpl-mine-") for name in names)
        aborting.streams[names[0]].set()
        assert (await stays.read()).endswith(b"data: [DONE]\n\n")


async def test_an_engine_that_cannot_abort_loses_its_connection_and_is_asked_once(
    client: aiohttp.ClientSession, engine: StubEngine
) -> None:
    asked = []

    async def plain(call: Call) -> None:
        if call.target.encode() == ABORT_PATH:
            asked.append(call)
            await call.reply(b"{}", 404)
            return
        await call.start(content_type=SSE)
        for _ in range(3):
            await call.chunk(b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n')
        await call.left.wait()

    engine.can_abort, engine.answer = True, plain
    for _ in range(2):
        count = len(engine.calls)
        await _leave(client, CHAT)
        await asyncio.wait_for(next(call for call in engine.calls[count:] if call.target == CHAT).left.wait(), 60)
        await _idle(client)
    assert len(asked) == 1


async def test_a_short_answer_is_left_to_end_by_itself(client: aiohttp.ClientSession, engine: StubEngine) -> None:
    go = asyncio.Event()

    async def embed(call: Call) -> None:
        await go.wait()
        await call.reply(b'{"data":[],"usage":{"prompt_tokens":9}}')

    engine.answer = embed
    await _leave_unanswered(client, engine, "/v1/embeddings", {"model": "tiny", "input": "x"})
    go.set()
    await _idle(client)
    assert await _metric(client, "freehold_prompt_tokens_total") == 9


@pytest.mark.parametrize("ending", ["silent", "dies"])
async def test_an_engine_that_ends_badly_is_let_go(
    ending: str, client: aiohttp.ClientSession, engine: StubEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("freehold.serve.gateway.winding.LAST_WORDS_S", 0.2)
    streams: list[Call] = []

    async def end(call: Call, ending: str) -> None:
        if call.target.encode() == ABORT_PATH:
            await call.reply(b"")
            if ending == "dies":
                streams[0].die()
            return
        streams.append(call)
        await call.start(content_type=SSE)
        await call.chunk(b"data: {}\n\n")
        await call.left.wait()

    engine.can_abort, engine.answer = True, functools.partial(end, ending=ending)
    await _leave(client, CHAT)
    await _until(lambda: len(streams), 1)
    await asyncio.wait_for(streams[0].left.wait(), 60)
    await _idle(client)
    assert await _metric(client, "freehold_unmetered_streams_total") == 1


async def test_an_answer_that_was_complete_when_its_client_left_is_counted(
    client: aiohttp.ClientSession, engine: StubEngine, gateway: GatewayServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last bytes may have arrived, and not been read, when the client's leaving is noticed."""
    read = EngineConnection.read_all

    async def leave_first(self: EngineConnection) -> bytes:
        while not self.is_whole:
            await asyncio.sleep(0.01)
        for exchange in gateway.gateway._relay.running:
            exchange.client_left = True
            exchange._cancel()
        await asyncio.sleep(0)
        return await read(self)

    monkeypatch.setattr(EngineConnection, "read_all", leave_first)
    await client.post(CHAT, json={"model": "tiny"})
    await _idle(client)
    assert await _metric(client, "freehold_completion_tokens_total") == 2


async def test_a_refusal_that_comes_after_its_client_left_costs_nothing(
    client: aiohttp.ClientSession, engine: StubEngine, gateway: GatewayServer
) -> None:
    seen = []
    conclude = gateway.gateway._relay.winding._conclude
    gateway.gateway._relay.winding._conclude = lambda attempt: (seen.append(attempt.tokens()), conclude(attempt))[0]
    waiting: list[asyncio.Event] = []

    async def refuse(call: Call) -> None:
        if call.target.encode() == ABORT_PATH:
            await call.reply(b"")
            waiting[0].set()
            return
        waiting.append(asyncio.Event())
        await waiting[0].wait()
        await call.reply(b'{"error":{}}', 400)

    engine.can_abort, engine.answer = True, refuse
    await _leave_unanswered(client, engine, CHAT, {"model": "tiny"})
    await _until(lambda: [(tuple(usage), estimated) for usage, estimated in seen], [((0, 0, 0), 0)])
