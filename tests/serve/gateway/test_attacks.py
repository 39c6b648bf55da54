"""Clients that mean harm, or behave as if: each costs itself its connection, and nobody else anything."""

import asyncio
import contextlib
import hashlib
import json
import resource
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest
from fixtures.raw_http import RawClient, raw_client
from fixtures.stub_engine import SSE, Call, StubEngine

from freehold.serve.gateway import GatewayServer
from freehold.serve.gateway.http import HttpLimits, HttpServer
from freehold.serve.gateway.listening import listen_on

CHAT = "/v1/chat/completions"
TINY = {"model": "tiny"}
ASK = b'POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 16\r\n\r\n{"model":"tiny"}'
POST = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"


async def _dribble(client: RawClient, data: bytes) -> None:
    """Send this byte by byte, for as long as anybody listens."""
    with contextlib.suppress(ConnectionError):
        for byte in data:
            client.send(bytes([byte]))
            await asyncio.sleep(0.01)


async def _is_refused(client: RawClient, status: int, code: str) -> None:
    answer = await client.answer()
    assert (answer.status, answer.code) == (status, code)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["connection"] == "close"
    assert await client.closed() == b""


# Slowness.


@pytest.mark.slow
async def test_headers_that_dribble_in_are_a_408_and_hold_up_nobody(serve, engine: StubEngine) -> None:  # type: ignore[no-untyped-def]
    gateway: GatewayServer = await serve(engine, header_timeout_s=3)
    async with raw_client(gateway.port) as slow, raw_client(gateway.port) as other:
        dribbling = asyncio.create_task(_dribble(slow, POST + b"x-a: " + b"a" * 10_000))
        refused = asyncio.create_task(_is_refused(slow, 408, "request_timeout"))
        while not refused.done():
            other.send(ASK)
            assert (await other.answer()).status == 200
            await asyncio.sleep(0.01)
        await refused
        dribbling.cancel()
    assert len(engine.calls) > 1


@pytest.mark.slow
async def test_the_next_headers_on_a_kept_connection_have_no_more_time(serve, engine: StubEngine) -> None:  # type: ignore[no-untyped-def]
    gateway: GatewayServer = await serve(engine, header_timeout_s=3)
    async with raw_client(gateway.port) as client:
        client.send(ASK)
        assert (await client.answer()).status == 200
        client.send(b"P")
        await _is_refused(client, 408, "request_timeout")


async def test_a_client_that_says_nothing_is_hung_up_on(serve, engine: StubEngine) -> None:  # type: ignore[no-untyped-def]
    gateway: GatewayServer = await serve(engine, header_timeout_s=0.2)
    async with raw_client(gateway.port) as client:
        assert await client.closed() == b""


@pytest.mark.slow
async def test_a_long_answer_is_not_late(serve, engine: StubEngine) -> None:  # type: ignore[no-untyped-def]
    async def think(call: Call) -> None:
        await asyncio.sleep(0.5)
        await call.reply(b"{}")

    engine.answer = think
    gateway: GatewayServer = await serve(engine, header_timeout_s=0.1, body_timeout_s=0.1)
    async with raw_client(gateway.port) as client:
        for _ in range(2):
            client.send(ASK)
            assert (await client.answer()).status == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"content-length: 100\r\n\r\n",
        b'content-length: 100\r\n\r\n{"model"',
        b"transfer-encoding: chunked\r\n\r\n5\r\nabc",
        b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-trailer: ",
    ],
)
async def test_a_body_that_stalls_is_a_408(sent: bytes, serve, engine: StubEngine) -> None:  # type: ignore[no-untyped-def]
    gateway: GatewayServer = await serve(engine, body_timeout_s=0.2)
    async with raw_client(gateway.port) as client:
        client.send(POST + sent)
        await _is_refused(client, 408, "request_timeout")
    assert not engine.calls
    assert b'status="499"} 1.0' in gateway.gateway.metrics.render(), "to the relay, the client has left"


async def test_a_body_that_was_asked_for_and_stalls_is_a_408(serve, engine: StubEngine) -> None:  # type: ignore[no-untyped-def]
    gateway: GatewayServer = await serve(engine, body_timeout_s=0.2)
    async with raw_client(gateway.port) as client:
        client.send(POST + b"expect: 100-continue\r\ncontent-length: 100\r\n\r\n")
        assert (await client.head())[0] == 100
        await _is_refused(client, 408, "request_timeout")


@pytest.mark.slow
async def test_a_body_that_dribbles_in_is_a_408(serve, engine: StubEngine) -> None:  # type: ignore[no-untyped-def]
    gateway: GatewayServer = await serve(engine, body_timeout_s=0.3)
    async with raw_client(gateway.port) as client:
        client.send(POST + b"content-length: 10000\r\n\r\n")
        dribbling = asyncio.create_task(_dribble(client, bytes(10_000)))
        await _is_refused(client, 408, "request_timeout")
        dribbling.cancel()


@pytest.mark.slow
async def test_a_body_that_comes_slowly_but_steadily_is_taken(serve, engine: StubEngine) -> None:  # type: ignore[no-untyped-def]
    gateway: GatewayServer = await serve(engine, body_timeout_s=1)
    body = json.dumps({**TINY, "filler": "x" * 40_000}).encode()
    async with raw_client(gateway.port) as client:
        client.send(POST + b"content-length: %d\r\n\r\n" % len(body))
        for start in range(0, len(body), 1000):
            await asyncio.sleep(0.04)
            client.send(body[start : start + 1000])
        assert (await client.answer()).status == 200
    assert engine.calls[0].body == body


# Size.


async def test_headers_of_10_000_bytes_pass(gateway: GatewayServer, engine: StubEngine) -> None:
    async with raw_client(gateway.port) as client:
        for _ in range(2):
            client.send(POST + b"x-a: %b\r\ncontent-length: 16\r\n\r\n" % (b"a" * 10_000) + ASK[-16:])
            assert (await client.answer()).status == 200
    assert engine.calls[1].header("x-a") == "a" * 10_000


@pytest.mark.parametrize("size", [32_000, 100_000, 3_000_000])
@pytest.mark.parametrize("end", [b"\r\ncontent-length: 16\r\n\r\n" + ASK[-16:], b""])
async def test_headers_over_the_limit_are_a_431(size: int, end: bytes, gateway: GatewayServer) -> None:
    async with raw_client(gateway.port) as client:
        client.send(POST + b"x-a: %b\r\nx-b: %b" % (b"a" * (size // 2), b"b" * (size // 2 + 1000)) + end)
        await _is_refused(client, 431, "headers_too_large")


async def test_a_large_body_does_not_count_as_headers(gateway: GatewayServer, engine: StubEngine) -> None:
    body = json.dumps({**TINY, "filler": "x" * 100_000}).encode()
    async with raw_client(gateway.port) as client:
        for _ in range(2):
            client.send(POST + b"content-length: %d\r\n\r\n%b" % (len(body), body))
            assert (await client.answer()).status == 200
    assert [call.body for call in engine.calls] == [body, body]


@pytest.mark.parametrize(("number", "status"), [(254, 200), (255, 431)])
async def test_headers_are_counted(number: int, status: int, gateway: GatewayServer) -> None:
    async with raw_client(gateway.port) as client:
        client.send(POST + b"x-a: b\r\n" * number + b"content-length: 16\r\n\r\n" + ASK[-16:])
        assert (await client.answer()).status == status


@pytest.mark.parametrize(("size", "status"), [(16_000, 200), (16_400, 414), (100_000, 414)])
async def test_a_request_line_has_a_limit(size: int, status: int, gateway: GatewayServer) -> None:
    async with raw_client(gateway.port) as client:
        client.send(b"GET /health?%b HTTP/1.1\r\nhost: x\r\n\r\n" % (b"q" * size))
        answer = await client.answer()
        assert answer.status == status
        assert status == 200 or answer.code == "target_too_long"


@pytest.mark.parametrize(
    "endless", [b"0\r\nx-trailer: ", b"1;extension=", b"1\r\na\r\n0\r\n" + b"x-trailer: a\r\n" * 10]
)
async def test_what_hides_in_a_body_has_a_limit_too(endless: bytes, gateway: GatewayServer) -> None:
    async with raw_client(gateway.port) as client:
        client.send(POST + b"transfer-encoding: chunked\r\n\r\n" + endless)
        await client.writer.drain()
        for _ in range(100):
            client.send(b"x-trailer: a\r\n" * 1000 if endless.endswith(b"\n") else b"a" * 14_000)
            await asyncio.sleep(0)
        await _is_refused(client, 431, "headers_too_large")


async def test_a_body_of_50_mb_arrives_intact(gateway: GatewayServer, engine: StubEngine) -> None:
    body = b'{"model":"tiny","image":"' + b"0123456789abcdef" * 3_276_800 + b'"}'
    async with raw_client(gateway.port) as client:
        client.send(POST + b"content-length: %d\r\n\r\n" % len(body))
        client.send(body)
        assert (await client.answer()).status == 200
    [call] = engine.calls
    assert hashlib.sha256(call.body).digest() == hashlib.sha256(body).digest()


# Smuggling, and what is not HTTP.

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.mark.parametrize(
    "headers",
    [
        b"content-length: 5\r\ntransfer-encoding: chunked\r\n",
        b"transfer-encoding: chunked\r\ncontent-length: 5\r\n",
        b"content-length: 5\r\ncontent-length: 6\r\n",
        b"content-length: 5, 6\r\n",
        b"content-length: +5\r\n",
        b"content-length: -5\r\n",
        b"content-length: 5a\r\n",
        b"content-length: 99999999999999999999\r\n",
        b"content-length : 5\r\n",
        b"transfer-encoding: xchunked\r\n",
        b"transfer-encoding: chunked, identity\r\n",
        b"transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
        b"transfer-encoding: \x0bchunked\r\n",
        b"transfer-encoding: gzip\r\n",
        b"x-a: b\n",
        b"x-a: b\r",
        b"x-a: b\r\n folded: c\r\n",
        b"x-a: b\0c\r\n",
        b"x(a: b\r\n",
        b": b\r\n",
    ],
)
async def test_a_request_that_can_be_read_in_two_ways_is_a_400(
    headers: bytes, gateway: GatewayServer, engine: StubEngine
) -> None:
    async with raw_client(gateway.port) as client:
        client.send(POST + headers + b"\r\n0\r\n\r\n" + SMUGGLED + ASK)
        await _is_refused(client, 400, "malformed_request")
    assert not engine.calls


@pytest.mark.parametrize("chunk", [b"zz\r\nabc", b"3\nabc\r\n", b"3 \r\nabc\r\n", b"3\r\nabcd\r\n", b"-3\r\nabc\r\n"])
async def test_a_chunk_that_is_none_is_a_400(chunk: bytes, gateway: GatewayServer, engine: StubEngine) -> None:
    async with raw_client(gateway.port) as client:
        client.send(POST + b"transfer-encoding: chunked\r\n\r\n" + chunk + SMUGGLED)
        await _is_refused(client, 400, "malformed_request")
    assert not engine.calls


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/2.0\r\n\r\n",
        b"GET / HTTP/1.1\n\n",
        b"get / HTTP/1.1\r\n\r\n",
        b"CONNECT engine:80 HTTP/1.1\r\n\r\n",
        b"GET /\xc3\xa9 HTTP/1.1\r\n\r\n",
        b"GET no-path HTTP/1.1\r\n\r\n",
    ],
)
async def test_what_is_not_http_1_1_is_a_400(nonsense: bytes, gateway: GatewayServer) -> None:
    async with raw_client(gateway.port) as client:
        client.send(nonsense)
        await _is_refused(client, 400, "malformed_request")


async def test_bytes_after_a_body_are_the_next_request(gateway: GatewayServer, engine: StubEngine) -> None:
    async with raw_client(gateway.port) as client:
        client.send(ASK + SMUGGLED)
        assert [(await client.answer()).status for _ in range(2)] == [200, 404]
    assert len(engine.calls) == 1


# Those who vanish, and those who do not read.


@contextlib.asynccontextmanager
async def _accepted() -> AsyncIterator[socket.socket]:
    """What the server asks the kernel for, on a connection that it took."""

    async def app(scope: object, receive: object, send: object) -> None: ...

    server = HttpServer(app, HttpLimits(30, 30))
    with listen_on("127.0.0.1", 0) as bound:
        await server.listen(bound, 10)
        async with raw_client(bound.getsockname()[1]):
            while not server.connections:
                await asyncio.sleep(0.01)
            [connection] = server.connections
            yield connection.transport.get_extra_info("socket")
        await server.close(1.0)


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the options are Linux's")
async def test_the_kernel_looks_after_clients_that_vanish() -> None:
    async with _accepted() as accepted:
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        wanted = {"TCP_NODELAY": 1, "TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 6}
        wanted["TCP_USER_TIMEOUT"] = 60_000
        found = {name: accepted.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in wanted}
    assert found == wanted


@pytest.mark.slow
async def test_a_slow_reader_of_200_mb_costs_no_memory_and_loses_no_byte(
    gateway: GatewayServer, engine: StubEngine
) -> None:
    event = b"data: " + b"x" * 99_992 + b"\n\n"

    async def pour(call: Call) -> None:
        await call.start(content_type=SSE)
        for _ in range(2000):
            while call.is_blocked:
                await asyncio.sleep(0.001)
            await call.chunk(event)
        await call.end()

    engine.answer = pour
    body = b'{"model":"tiny","stream":true}'
    async with raw_client(gateway.port, limit=1024, kernel_bytes=65_536) as client:
        client.send(POST + b"content-length: %d\r\n\r\n%b" % (len(body), body))
        await client.head()
        assert gateway._http is not None
        [connection] = gateway._http.connections
        while not (highest := connection.transport.get_write_buffer_size()):  # until the kernel takes no more
            await asyncio.sleep(0.01)
        received = 0
        async for chunk in client.chunks():
            received += len(chunk)
            highest = max(highest, connection.transport.get_write_buffer_size())
    assert received == 200_000_000
    assert highest < 2_000_000


@pytest.mark.slow
async def test_two_thousand_open_streams_lose_no_byte(gateway: GatewayServer, engine: StubEngine) -> None:
    streams, events = 2000, 20
    all_there = asyncio.Event()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 5 * streams:
        pytest.skip(f"needs {5 * streams} open files, {hard} are allowed")

    async def pour(call: Call) -> None:
        await call.start(content_type=SSE)
        name = call.json["name"]
        await call.chunk(b"data: %d 0\n\n" % name)
        if len(engine.calls) == streams:
            all_there.set()
        await all_there.wait()
        for number in range(1, events):
            await call.chunk(b"data: %d %d\n\n" % (name, number))
            await asyncio.sleep(0.01)
        await call.end()

    async def read(session: aiohttp.ClientSession, name: int) -> None:
        request = {"model": "tiny", "stream": True, "name": name}
        async with session.post(f"{gateway.url}{CHAT}", json=request) as answer:
            received = await answer.read()
        assert received == b"".join(b"data: %d %d\n\n" % (name, number) for number in range(events))

    engine.answer = pour
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session, asyncio.timeout(100):
            await asyncio.gather(*(read(session, name) for name in range(streams)))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert gateway.gateway.in_flight == 0
