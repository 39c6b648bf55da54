"""Engines that die and clients that leave: neither may look like a clean end to the other."""

import asyncio
import functools
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from fixtures.stub_engine import SSE, Answer, Call, StubEngine

from freehold.serve.gateway import GatewayServer

TINY = {"model": "tiny"}
STREAM = {"model": "tiny", "stream": True}
Death = Callable[[Call], None]
TICK_S = 0.005
DEATHS: list[Death] = [Call.die, Call.hang_up]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
async def test_an_engine_that_cannot_be_reached_is_a_503(
    path: str, client: aiohttp.ClientSession, engine: StubEngine, unused_tcp_port: int
) -> None:
    engine.base_url = f"http://127.0.0.1:{unused_tcp_port}"
    async with client.post(path, json=TINY) as answer:
        assert answer.status == 503
        assert int(answer.headers["retry-after"]) > 0
        assert "The engine of 'tiny' cannot be reached" in (await answer.json())["error"]["message"]


@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\ncontent-le", b"this is not HTTP\r\n\r\n"])
async def test_an_engine_that_dies_before_it_answers_is_a_502(
    death: Death, head: bytes, client: aiohttp.ClientSession, engine: StubEngine
) -> None:
    async def die(call: Call) -> None:
        if head:
            await call.raw(head)
            await asyncio.sleep(0.02)
        death(call)

    engine.answer = die
    async with client.post("/v1/chat/completions", json=TINY) as answer:
        assert answer.status == 502
        error = (await answer.json())["error"]
    assert (error["code"], error["type"]) == ("engine_lost", "server_error")
    assert len(engine.calls) == 1, "and nobody asked again"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/embeddings"])
async def test_an_engine_without_the_endpoint_is_told_in_words(
    path: str, client: aiohttp.ClientSession, engine: StubEngine
) -> None:
    # What FastAPI says where vLLM has not mounted a path for a model of this kind.
    engine.answer = lambda call: call.reply(b'{"detail":"Not Found"}', status=404)
    async with client.post(path, json=TINY) as answer:
        error = (await answer.json())["error"]
        assert (answer.status, error["code"]) == (404, "endpoint_not_supported")
    assert path in error["message"] and "model of another kind" in error["message"]


@pytest.mark.parametrize("death", DEATHS)
async def test_an_answer_cut_short_is_a_502(death: Death, client: aiohttp.ClientSession, engine: StubEngine) -> None:
    async def die(call: Call) -> None:
        await call.raw(b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"choi')
        await asyncio.sleep(0.02)
        death(call)

    engine.answer = die
    async with client.post("/v1/chat/completions", json=TINY) as answer:
        assert answer.status == 502
        assert "in the middle of its answer" in (await answer.json())["error"]["message"]


@pytest.mark.parametrize("death", DEATHS)
async def test_a_large_answer_cut_short_is_a_broken_connection(
    death: Death, client: aiohttp.ClientSession, engine: StubEngine
) -> None:
    async def die(call: Call) -> None:
        await call.start(content_type="application/json")
        await call.chunk(b"x" * 300_000)
        await asyncio.sleep(0.02)
        death(call)

    engine.answer = die
    async with client.post("/v1/embeddings", json=TINY) as answer:
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


def _openai_event(event: bytes) -> None:
    assert event.startswith(b"data: ")
    error = json.loads(event.removeprefix(b"data: "))["error"]
    assert error["code"] == "engine_lost"
    assert "'tiny' was lost" in error["message"]


def _responses_event(event: bytes) -> None:
    name, _, data = event.partition(b"\n")
    assert name == b"event: error"
    assert json.loads(data.removeprefix(b"data: "))["type"] == "error"


def _anthropic_event(event: bytes) -> None:
    name, _, data = event.partition(b"\n")
    assert name == b"event: error"
    assert json.loads(data.removeprefix(b"data: "))["error"]["type"] == "api_error"


@pytest.mark.parametrize(
    ("path", "check"),
    [
        ("/v1/chat/completions", _openai_event),
        ("/v1/completions", _openai_event),
        ("/v1/responses", _responses_event),
        ("/v1/messages", _anthropic_event),
    ],
)
async def test_an_engine_that_dies_in_a_stream_is_an_error_event_and_no_clean_end(
    path: str, check: Callable[[bytes], None], client: aiohttp.ClientSession, engine: StubEngine
) -> None:
    for death, last in itertools.product(DEATHS, (b'data: {"a":2}\n\n', b'data: {"a":', b'data: {"a":2}\n')):
        engine.answer = functools.partial(_die_in_stream, last=last, death=death)
        received = b""
        async with client.post(path, json=STREAM | {"stream_options": {"include_usage": True}}) as answer:
            with pytest.raises(aiohttp.ClientPayloadError):
                async for piece in answer.content.iter_any():
                    received += piece
        sent = FIRST + last
        assert received.startswith(sent)
        assert received.endswith(b"\n\n")
        assert b"[DONE]" not in received
        check(received.removeprefix(sent).strip())


FIRST = b'data: {"choices":[]}\n\n'


async def _die_in_stream(call: Call, last: bytes = b"", death: Death = Call.die) -> None:
    await call.start(content_type=SSE)
    await call.chunk(FIRST)
    if last:
        await call.chunk(last)
    await asyncio.sleep(0.02)
    death(call)


async def test_a_dead_engine_costs_other_requests_nothing(
    client: aiohttp.ClientSession, engine: StubEngine, other: StubEngine
) -> None:
    async def die(call: Call) -> None:
        call.die()

    engine.answer = die
    async with client.post("/v1/chat/completions", json=TINY) as answer:
        assert answer.status == 502
    async with client.post("/v1/chat/completions", json={"model": "org/other"}) as answer:
        assert answer.status == 200


async def _silence(call: Call) -> None:
    await call.left.wait()


async def _headers_only(call: Call) -> None:
    await call.start(content_type=SSE)
    await call.left.wait()


async def _endless(call: Call) -> None:
    await call.start(content_type=SSE)
    while not call.left.is_set():
        await call.chunk(b"data: {}\n\n")
        await asyncio.sleep(0.002)


@asynccontextmanager
async def _ticking() -> AsyncIterator[list[float]]:
    """When the loop, which is client's, gateway's and engine's, came round."""
    ticks = [time.perf_counter()]

    async def tick() -> None:
        while True:
            await asyncio.sleep(TICK_S)
            ticks.append(time.perf_counter())

    ticking = asyncio.create_task(tick())
    try:
        yield ticks
    finally:
        ticking.cancel()


def _stalled_s(ticks: list[float], begin: float, end: float) -> float:
    """For how long the loop came round too late in this time."""
    gaps = (min(after, end) - max(before, begin) for before, after in itertools.pairwise(ticks))
    return sum(max(0.0, gap - TICK_S) for gap in gaps)


@pytest.mark.parametrize("answer", [_silence, _headers_only, _endless])
async def test_a_client_that_leaves_aborts_the_engines_request_within_100_ms(
    answer: Answer, gateway: GatewayServer, engine: StubEngine
) -> None:
    engine.answer = answer
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    body = json.dumps(STREAM).encode()
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
    async with asyncio.timeout(30), _ticking() as ticks:
        await engine.arrived.wait()
        if answer is not _silence:
            await reader.readuntil(b"\r\n\r\n")
        writer.close()
        left_at = time.perf_counter()
        await engine.calls[0].left.wait()
        aborted_at = time.perf_counter()
        assert gateway.gateway.in_flight == 0
        assert b'path="/v1/chat/completions",status="499"} 1.0' in gateway.gateway.metrics.render()
        while ticks[-1] < aborted_at:
            await asyncio.sleep(TICK_S)
    assert aborted_at - left_at - _stalled_s(ticks, left_at, aborted_at) < 0.1


async def test_a_client_that_leaves_while_it_uploads_is_no_fault(gateway: GatewayServer, engine: StubEngine) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(b'POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n{"model"')
    await writer.drain()
    await asyncio.sleep(0.05)
    writer.close()
    async with asyncio.timeout(30):
        while b'status="499"} 1.0' not in gateway.gateway.metrics.render():
            await asyncio.sleep(0.01)
    assert not engine.calls


async def test_a_client_that_does_not_read_holds_up_the_engine_not_the_memory(
    gateway: GatewayServer, engine: StubEngine
) -> None:
    sent = 0

    async def flood(call: Call) -> None:
        nonlocal sent
        await call.start(content_type=SSE)
        while not call.left.is_set() and sent < 200_000_000:
            if call.is_blocked:
                await asyncio.sleep(0.01)
                continue
            await call.chunk(b"data: " + b"x" * 100_000 + b"\n\n")
            sent += 100_000

    engine.answer = flood
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port, limit=1024)
    body = json.dumps(STREAM).encode()
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
    await reader.readuntil(b"\r\n\r\n")
    async with asyncio.timeout(30):
        before = -1
        while sent != before:
            before = sent
            await asyncio.sleep(0.2)
        assert sent < 100_000_000, "it stopped: the gateway reads no faster than its client"
        writer.close()
        await engine.calls[0].left.wait()


async def test_a_lost_engine_is_counted(gateway: GatewayServer, engine: StubEngine) -> None:
    engine.answer = _die_in_stream
    url = f"{gateway.url}/v1/chat/completions"
    async with aiohttp.ClientSession() as session, session.post(url, json=STREAM) as answer:
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()
    assert b'freehold_broken_answers_total{model="tiny"} 1.0' in gateway.gateway.metrics.render()


# -- an engine of several replicas behind one address ------------------------------------------------------------------

LOST = b"Internal Server Error"


async def test_a_request_that_a_replica_was_lost_with_is_asked_once_more(
    client: aiohttp.ClientSession, engine: StubEngine
) -> None:
    async def lose_the_first(call: Call) -> None:
        if len(engine.calls) == 1:
            await call.reply(LOST, 500, "text/plain; charset=utf-8")
        else:
            await call.reply(b'{"choices": []}')

    engine.is_spread, engine.answer = True, lose_the_first
    async with client.post("/v1/chat/completions", json=TINY) as answer:
        assert (answer.status, await answer.json()) == (200, {"choices": []})
    assert len(engine.calls) == 2


@pytest.mark.parametrize("death", DEATHS)
async def test_one_that_ends_replicas_ends_no_more_than_two(
    death: Death, client: aiohttp.ClientSession, engine: StubEngine
) -> None:
    async def die(call: Call) -> None:
        death(call)

    engine.is_spread, engine.answer = True, die
    async with client.post("/v1/chat/completions", json=TINY) as answer:
        assert answer.status == 502
        assert (await answer.json())["error"]["code"] == "engine_lost"
    assert len(engine.calls) == 2


@pytest.mark.parametrize(
    ("status", "body", "content_type", "code"),
    [
        (503, b"no replica", "text/plain", "model_not_ready"),
        (404, b"Path '/freehold/tiny' not found.", "text/plain", "model_not_ready"),
        (500, b'{"error": {"code": 500, "message": "broken"}}', "application/json", 500),
    ],
)
async def test_what_spreads_requests_is_not_taken_for_the_engine(
    status: int, body: bytes, content_type: str, code: object, client: aiohttp.ClientSession, engine: StubEngine
) -> None:
    async def answer_so(call: Call) -> None:
        await call.reply(body, status, content_type)

    engine.is_spread, engine.answer = True, answer_so
    async with client.post("/v1/chat/completions", json=TINY) as answer:
        assert answer.status == (500 if status == 500 else 503)
        assert (await answer.json())["error"]["code"] == code
    assert len(engine.calls) == 1


async def test_a_stream_that_has_begun_is_not_asked_again(client: aiohttp.ClientSession, engine: StubEngine) -> None:
    async def begin_and_die(call: Call) -> None:
        await call.start(content_type=SSE)
        await call.chunk(b'data: {"choices": []}\n\n')
        await asyncio.sleep(0.02)
        call.die()

    engine.is_spread, engine.answer = True, begin_and_die
    with pytest.raises(aiohttp.ClientError):
        async with client.post("/v1/chat/completions", json=STREAM) as answer:
            await answer.read()
    assert len(engine.calls) == 1
