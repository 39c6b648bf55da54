"""Connections to engines are kept, and only those that can be."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
from fixtures.stub_engine import Call, StubEngine

from freehold.serve.gateway import pool as pool_module
from freehold.serve.gateway.connection import ConnectionBroken, EngineConnection
from freehold.serve.gateway.pool import EnginePool, Origin, parse_base_url

LIMIT_S = 60
REQUEST = b"POST /x HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"


@pytest.fixture
async def pool() -> AsyncIterator[EnginePool]:
    made = EnginePool()
    yield made
    made.close()


async def _ask(pool: EnginePool, engine: StubEngine) -> tuple[EngineConnection, bytes]:
    connection = await pool.connection(parse_base_url(engine.base_url).origin)
    try:
        await connection.ask(REQUEST)
        return connection, await connection.read_all()
    finally:
        connection.finish()


def _answers(*pieces: bytes, then: Callable[[Call], None] | None = None) -> Callable[[Call], object]:
    async def answer(call: Call) -> None:
        for piece in pieces:
            await call.raw(piece)
            await asyncio.sleep(0.01)
        if then is not None:
            then(call)

    return answer


WHOLE = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"


@pytest.mark.parametrize(
    "pieces",
    [
        [WHOLE],
        [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ni\r\n0\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r", b"\nh\r\n1\r\ni", b"\r\n0\r\ntrailer: x\r\n\r\n"],
        [b"HTTP/1.1 100 Continue\r\n\r\n" + WHOLE],
        [b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n", WHOLE],
    ],
)
async def test_a_connection_is_used_again_after_a_whole_answer(
    pieces: list[bytes], pool: EnginePool, engine: StubEngine
) -> None:
    engine.answer = _answers(*pieces)  # type: ignore[assignment]
    first, body = await _ask(pool, engine)
    again, same = await _ask(pool, engine)
    assert again is first
    assert (first.status, body, same) == (200, b"hi", b"hi")
    assert not [name for name, _ in first.headers if name == b"link"]


@pytest.mark.parametrize(
    ("answer", "then"),
    [
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi", None),
        (b"HTTP/1.1 200 OK\r\n\r\nhi", Call.hang_up),
        (b"HTTP/1.0 200 OK\r\n\r\nhi", Call.hang_up),
        (WHOLE, Call.hang_up),
    ],
)
async def test_a_connection_that_ends_with_its_answer_is_not_used_again(
    answer: bytes, then: Callable[[Call], None] | None, pool: EnginePool, engine: StubEngine
) -> None:
    engine.answer = _answers(answer, then=then)  # type: ignore[assignment]
    first, body = await _ask(pool, engine)
    async with asyncio.timeout(LIMIT_S):
        while first.is_usable:
            await asyncio.sleep(0.01)
    again, same = await _ask(pool, engine)
    assert again is not first
    assert (body, same) == (b"hi", b"hi")


@pytest.mark.parametrize("stray", [WHOLE, b"HTTP/1.1 200 OK\r\n", b"noise"])
@pytest.mark.parametrize("at_once", [True, False])
async def test_an_answer_that_nobody_asked_for_reaches_nobody(
    stray: bytes, at_once: bool, pool: EnginePool, engine: StubEngine
) -> None:
    engine.answer = _answers(*([WHOLE + stray] if at_once else [WHOLE, stray]))  # type: ignore[assignment]
    first, body = await _ask(pool, engine)
    assert body == b"hi"
    async with asyncio.timeout(LIMIT_S):
        while first.is_usable:
            await asyncio.sleep(0.01)
    engine.answer = _answers(WHOLE.replace(b"hi", b"ho"))  # type: ignore[assignment]
    again, body = await _ask(pool, engine)
    assert again is not first
    assert body == b"ho"


@pytest.mark.parametrize("line", [b"x-a: " + b"a" * 8000 + b"\r\n", b"\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n"])
async def test_a_head_without_an_end_is_given_up(line: bytes, pool: EnginePool, engine: StubEngine) -> None:
    async def endless(call: Call) -> None:
        await call.raw(b"HTTP/1.1 103 Early Hints\r\n")
        while not call.left.is_set():
            await call.raw(line * (16_384 // len(line)))

    engine.answer = endless
    with pytest.raises(ConnectionBroken, match="headers"):
        await _ask(pool, engine)


async def test_a_refusal_in_the_middle_of_an_upload_arrives(client: aiohttp.ClientSession, engine: StubEngine) -> None:
    refused = asyncio.Event()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig")
        await refused.wait()
        writer.transport.abort()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0, limit=1024)
    engine.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    body = io.BytesIO(b'{"model":"tiny","x":"' + b"y" * 12_000_000 + b'"}')
    async with client.post("/v1/completions", data=body) as answer:
        assert (answer.status, await answer.text()) == (413, "big")
    refused.set()
    server.close()
    await asyncio.sleep(0.01)


async def test_what_arrived_before_a_connection_broke_is_read_first(pool: EnginePool, engine: StubEngine) -> None:
    engine.answer = _answers(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", then=Call.die)  # type: ignore[assignment]
    connection = await pool.connection(parse_base_url(engine.base_url).origin)
    await connection.ask(REQUEST)
    await asyncio.sleep(0.05)
    assert await connection.read() == b"half"
    with pytest.raises(ConnectionBroken):
        await connection.read()
    connection.finish()


STREAM = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


async def test_what_arrives_while_held_comes_at_once_and_the_connection_is_used_again(
    pool: EnginePool, engine: StubEngine
) -> None:
    late = [b"1\r\n%d\r\n" % number for number in range(5)]
    sent = asyncio.Event()
    pieces = (STREAM + b"1\r\na\r\n", *late, b"0\r\n\r\n")
    engine.answer = _answers(*pieces, then=lambda call: sent.set())  # type: ignore[assignment]
    connection = await pool.connection(parse_base_url(engine.base_url).origin)
    for _ in range(2):
        await connection.ask(REQUEST)
        assert await connection.read() == b"a"
        connection.hold()
        await asyncio.wait_for(sent.wait(), LIMIT_S)
        sent.clear()
        assert await connection.read() == b"01234"
        connection.hold()  # at the end there is nothing to hold
        assert await connection.read() == b""
        connection.finish()
        again = pool.idle(parse_base_url(engine.base_url).origin)
        assert again is connection


async def test_a_held_connection_still_tells_that_the_engine_died(pool: EnginePool, engine: StubEngine) -> None:
    engine.answer = _answers(STREAM + b"1\r\na\r\n", b"1\r\nb\r\n", then=Call.hang_up)  # type: ignore[assignment]
    connection = await pool.connection(parse_base_url(engine.base_url).origin)
    await connection.ask(REQUEST)
    assert await connection.read() == b"a"
    connection.hold()
    await asyncio.sleep(0.1)
    assert await connection.read() == b"b"
    with pytest.raises(ConnectionBroken):
        await connection.read()


async def test_an_idle_connection_is_closed_after_a_while(
    pool: EnginePool, engine: StubEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "KEEPALIVE_S", 0.05)
    first, _ = await _ask(pool, engine)
    async with asyncio.timeout(30):
        await engine.calls[0].left.wait()
    again, _ = await _ask(pool, engine)
    assert again is not first


async def test_requests_at_once_have_a_connection_each(pool: EnginePool, engine: StubEngine) -> None:
    async def slow(call: Call) -> None:
        await asyncio.sleep(0.02)
        await call.raw(WHOLE)

    engine.answer = slow
    connections = {connection for connection, _ in await asyncio.gather(*(_ask(pool, engine) for _ in range(8)))}
    assert len(connections) == 8


async def test_an_engine_that_speaks_no_tls_cannot_be_reached(pool: EnginePool) -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    with pytest.raises(OSError):
        await pool.connection(Origin("127.0.0.1", server.sockets[0].getsockname()[1], is_secure=True))
    server.close()


@pytest.mark.parametrize(
    ("url", "origin", "host", "prefix"),
    [
        ("http://10.0.0.7:8000", Origin("10.0.0.7", 8000, False), b"10.0.0.7:8000", b""),
        ("https://api.example.com", Origin("api.example.com", 443, True), b"api.example.com", b""),
        ("http://[::1]:8000/team/a", Origin("::1", 8000, False), b"[::1]:8000", b"/team/a"),
    ],
)
def test_a_base_url_is_taken_apart(url: str, origin: Origin, host: bytes, prefix: bytes) -> None:
    assert parse_base_url(url) == (origin, host, prefix)


async def test_a_prefix_of_the_base_url_is_kept(client: aiohttp.ClientSession, engine: StubEngine) -> None:
    engine.base_url += "/team/a"
    async with client.post("/v1/completions", json={"model": "tiny"}) as answer:
        assert answer.status == 200
    assert engine.calls[0].target == "/team/a/v1/completions"
