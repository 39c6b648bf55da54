"""The HTTP server as its clients see it, in front of the smallest applications."""

import asyncio
import contextlib
import gc
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from fixtures.raw_http import RawClient, raw_client

from freehold.serve.gateway.http import HttpLimits, HttpServer
from freehold.serve.gateway.http.connection import Connection, ServerState
from freehold.serve.gateway.http.cycle import CYCLE
from freehold.serve.gateway.listening import listen_on

GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
TEXT = (b"content-type", b"text/plain")
LIMITS = HttpLimits(header_timeout_s=30, body_timeout_s=30)
App = Callable[[Any, Any, Any], Awaitable[None]]


@contextlib.asynccontextmanager
async def serving(app: App, limits: HttpLimits = LIMITS) -> AsyncIterator[HttpServer]:
    """A server in front of this application; `server.port` is where."""
    server = HttpServer(app, limits)
    with listen_on("127.0.0.1", 0) as bound:
        await server.listen(bound, 100)
        server.port = bound.getsockname()[1]  # type: ignore[attr-defined]
        yield server
        await server.close(1.0)


@contextlib.asynccontextmanager
async def asking(app: App, limits: HttpLimits = LIMITS) -> AsyncIterator[RawClient]:
    """A client of a server in front of this application."""
    async with serving(app, limits) as server, raw_client(server.port) as client:  # type: ignore[attr-defined]
        yield client


async def reply(send: Any, body: bytes = b"", status: int = 200, *headers: tuple[bytes, bytes]) -> None:
    """A whole answer of a declared length."""
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": body})


async def idle(connection: Connection) -> None:
    """Return when the application has nothing more to do for this connection."""
    while not connection.is_idle:
        await asyncio.sleep(0)


async def whole_body(receive: Any) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        assert message["type"] == "http.request"
        body, more = body + message["body"], message["more_body"]
    return body


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the path and the body."""
    await reply(send, scope["path"].encode() + b" " + await whole_body(receive))


async def stream(scope: Any, receive: Any, send: Any) -> None:
    """Two chunks of no declared length."""
    await send({"type": "http.response.start", "status": 200, "headers": [TEXT]})
    await send({"type": "http.response.body", "body": b"one", "more_body": True})
    await send({"type": "http.response.body", "body": b"two"})


class Wires(asyncio.Transport):
    """A transport that notes what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self._is_reading = True

    def pause_reading(self) -> None:
        self._is_reading = False

    def resume_reading(self) -> None:
        self._is_reading = True

    def is_reading(self) -> bool:
        return self._is_reading

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def writelines(self, list_of_data: Any) -> None:
        self.writes.append(b"".join(list_of_data))

    def is_closing(self) -> bool:
        return False


async def exchange(app: App, request: bytes) -> Wires:
    """One request through a connection that has no socket."""
    state, wires = ServerState(app, LIMITS), Wires()
    connection = Connection(state)
    connection.connection_made(wires)
    connection.data_received(request)
    await idle(connection)
    await asyncio.sleep(0)
    return wires


# Scope.


async def test_the_scope_is_what_asgi_says() -> None:
    scopes: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(dict(scope))
        await reply(send)

    async with asking(app) as client:
        client.send(b"POST /a%20b/%C3%A9?q=%20 HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nx-a: \xff\r\nContent-Length: 0\r\n\r\n")
        await client.answer()
        port = client.writer.get_extra_info("sockname")[1]
        server = client.writer.get_extra_info("peername")
    [scope] = scopes
    assert scope.pop("extensions").keys() == {CYCLE}
    headers = [(b"host", b"x"), (b"x-a", b"1"), (b"x-a", b"\xff"), (b"content-length", b"0")]
    assert scope == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/a b/é",
        "raw_path": b"/a%20b/%C3%A9",
        "query_string": b"q=%20",
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", port),
        "server": server,
        "state": {},
    }


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/", "/", b""),
        (b"/a?", "/a", b""),
        (b"/a?b?c", "/a", b"b?c"),
        (b"/a?b#c", "/a", b"b"),
        (b"http://host:1/a?b", "/a", b"b"),
        (b"http://host", "/", b""),
        (b"*", "*", b""),
    ],
)
async def test_every_form_of_a_target_has_a_path(target: bytes, path: str, query: bytes) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await reply(send, json.dumps([scope["path"], scope["query_string"].decode()]).encode())

    async with asking(app) as client:
        client.send(b"OPTIONS %b HTTP/1.1\r\nhost: x\r\n\r\n" % target)
        assert json.loads((await client.answer()).body) == [path, query.decode()]


# Receiving.


async def test_a_body_that_came_with_its_headers_is_received_without_waiting() -> None:
    received: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with pytest.raises(StopIteration) as done:
            receive().send(None)
        received.append(done.value.value)
        await reply(send)

    await exchange(app, b"POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc")
    assert received == [{"type": "http.request", "body": b"abc", "more_body": False}]


async def test_a_body_in_pieces_is_received_as_it_comes() -> None:
    pieces: asyncio.Queue[tuple[bytes, bool]] = asyncio.Queue()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        more = True
        while more:
            message = await receive()
            more = message["more_body"]
            pieces.put_nowait((message["body"], more))
        await reply(send)

    async with asking(app) as client:
        client.send(b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        for piece in (b"a", b"bc"):
            client.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            assert await pieces.get() == (piece, True)
        client.send(b"0\r\n\r\n")
        assert await pieces.get() == (b"", False)
        assert (await client.answer()).status == 200


async def test_after_the_answer_there_is_a_disconnect() -> None:
    received: asyncio.Queue[Any] = asyncio.Queue()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        received.put_nowait(await receive())
        waiting = asyncio.create_task(receive())
        await asyncio.sleep(0)
        assert not waiting.done()
        await reply(send)
        received.put_nowait(await waiting)
        received.put_nowait(await receive())

    async with asking(app) as client:
        client.send(GET)
        types = [(await received.get())["type"] for _ in range(3)]
    assert types == ["http.request", "http.disconnect", "http.disconnect"]


@pytest.mark.parametrize("body", [b"", b"abc"])
async def test_a_client_that_leaves_is_a_disconnect(body: bytes) -> None:
    arrived, left = asyncio.Event(), asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        arrived.set()
        assert (await receive())["type"] == "http.disconnect"
        await reply(send)  # to nobody, and no error
        left.set()

    async with asking(app) as client:
        client.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\n" + (body or b"ab"))
        await arrived.wait()
        client.writer.close()
        await left.wait()


@pytest.mark.parametrize("leave", ["close", "write_eof"])
async def test_a_client_that_leaves_is_told_once_to_whoever_asked(leave: str) -> None:
    arrived, left, calls = asyncio.Event(), asyncio.Event(), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["extensions"][CYCLE].when_gone(lambda: (calls.append(1), left.set()))
        arrived.set()
        await left.wait()
        await asyncio.sleep(0.05)

    async with serving(app) as server, raw_client(server.port) as client:  # type: ignore[attr-defined]
        client.send(GET)
        await arrived.wait()
        getattr(client.writer, leave)()
        await left.wait()
        while server.connections:
            await asyncio.sleep(0.01)
    assert calls == [1]


@pytest.mark.slow
async def test_a_request_leaves_nothing_to_the_garbage_collector() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["extensions"][CYCLE].when_gone(lambda: send)
        await receive()
        await reply(send)

    state = ServerState(app, LIMITS)
    connection = Connection(state)
    connection.connection_made(Wires())
    gc.collect()
    gc.disable()
    try:
        for _ in range(200):
            connection.data_received(GET)
            await idle(connection)
        assert gc.collect() < 200
    finally:
        gc.enable()


async def test_a_client_has_its_whole_time_again_when_it_may_go_on() -> None:
    go = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()
        await receive()
        await asyncio.sleep(0)
        await receive()

    state = ServerState(app, LIMITS)
    connection = Connection(state)
    connection.connection_made(Wires())
    connection.data_received(b"POST / HTTP/1.1\r\ncontent-length: 900000\r\n\r\n" + bytes(300_000))
    connection.deadline = 0.0  # as if it had waited for the application until now
    now = asyncio.get_running_loop().time()
    go.set()
    while not connection.deadline:
        await asyncio.sleep(0)
    assert connection.deadline >= now + LIMITS.body_timeout_s
    connection.connection_lost(None)
    await idle(connection)


async def test_a_body_that_is_not_consumed_is_not_read_any_further() -> None:
    go = asyncio.Event()
    sizes: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()
        body = await whole_body(receive)
        sizes.append(len(body))
        await reply(send)

    size = 30_000_000
    async with asking(app) as client:
        client.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % size + bytes(size))
        transport, before = client.writer.transport, -1
        while transport.get_write_buffer_size() != before:
            before = transport.get_write_buffer_size()
            await asyncio.sleep(0.1)
        assert before > 10_000_000, "the rest waits at the client"
        go.set()
        assert (await client.answer()).status == 200
    assert sizes == [size]


@pytest.mark.parametrize("expect", [b"", b"expect: 100-continue\r\n"])
@pytest.mark.slow
async def test_a_body_that_the_application_lets_wait_is_not_late(expect: bytes) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.5)
        await reply(send, b"%d" % len(await whole_body(receive)))

    size = 5_000_000
    async with asking(app, HttpLimits(header_timeout_s=0.1, body_timeout_s=0.1)) as client:
        client.send(b"POST / HTTP/1.1\r\nhost: x\r\n%bcontent-length: %d\r\n\r\n" % (expect, size))
        if expect:
            assert (await client.head())[0] == 100
        client.send(bytes(size))
        assert (await client.answer()).body == b"%d" % size


async def test_a_body_that_nobody_wanted_does_not_stop_the_next_request() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await reply(send, scope["method"].encode())

    state, wires = ServerState(app, LIMITS), Wires()
    connection = Connection(state)
    connection.connection_made(wires)
    for data in (b"POST / HTTP/1.1\r\ncontent-length: 400000\r\n\r\n", bytes(200_000), bytes(200_000)):
        connection.data_received(data)
    assert not wires.is_reading()
    await idle(connection)
    assert wires.is_reading()
    connection.data_received(GET)
    await idle(connection)
    assert [write.rpartition(b"\n")[2] for write in wires.writes] == [b"POST", b"GET"]


async def test_expect_is_answered_when_the_body_is_wanted() -> None:
    go = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()
        await echo(scope, receive, send)

    async with asking(app) as client:
        client.send(b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-Continue\r\ncontent-length: 3\r\n\r\n")
        waiting = asyncio.create_task(client.reader.readuntil(b"\r\n\r\n"))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        go.set()
        assert await waiting == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"abc")
        assert (await client.answer()).body == b"/ abc"


async def test_expect_is_not_answered_when_the_body_is_not_wanted() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await reply(send, b"no", 417)

    async with asking(app) as client:
        client.send(b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n")
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (417, "close")
        assert await client.closed() == b""


async def test_expect_is_not_answered_when_the_body_is_there_already() -> None:
    async with asking(echo) as client:
        client.send(b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\nabc")
        assert (await client.answer()).status == 200


async def test_trailers_do_not_join_the_headers() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await whole_body(receive)
        await reply(send, b",".join(name for name, _ in scope["headers"]))

    async with asking(app) as client:
        client.send(
            b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx-role: admin\r\n\r\n"
        )
        assert (await client.answer()).body == b"host,transfer-encoding"


@pytest.mark.parametrize("cut", [0, 60, 128])
async def test_a_wish_for_another_protocol_is_not_heeded(cut: int) -> None:
    request = (
        b"POST /a HTTP/1.1\r\nhost: x\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAE\r\n"
        b"content-length: 3\r\n\r\nabc"
    )
    async with asking(echo) as client:
        client.send(request[:cut])
        await client.writer.drain()
        await asyncio.sleep(0.02)
        client.send(request[cut:] + request + GET)
        assert [(await client.answer()).body for _ in range(3)] == [b"/a abc", b"/a abc", b"/ "]


# Sending.


async def test_a_small_answer_is_one_write() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await reply(send, b"hello", 200, TEXT)

    wires = await exchange(app, GET)
    assert wires.writes == [b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-type: text/plain\r\n\r\nhello"]


async def test_a_chunk_is_one_write_and_the_first_takes_the_head_along() -> None:
    wires = await exchange(stream, GET)
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n"
    assert wires.writes == [head + b"3\r\none\r\n", b"3\r\ntwo\r\n0\r\n\r\n"]


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 3_000_000])
@pytest.mark.parametrize("is_declared", [True, False])
async def test_a_body_of_any_size_arrives(size: int, is_declared: bool) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    body = body[:size]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"%d" % size)] if is_declared else []
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body[: size // 2], "more_body": True})
        await send({"type": "http.response.body", "body": body[size // 2 :], "more_body": True})
        await send({"type": "http.response.body"})

    async with asking(app) as client:
        for _ in range(2):
            client.send(GET)
            answer = await client.answer()
            assert answer.body == body
            assert ("content-length" in answer.headers) == is_declared


async def test_the_head_of_a_stream_does_not_wait_for_its_body() -> None:
    go = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await go.wait()
        await send({"type": "http.response.body", "body": b"x"})

    async with asking(app) as client:
        client.send(GET)
        assert (await client.head())[0] == 200
        go.set()
        assert [chunk async for chunk in client.chunks()] == [b"x"]


@pytest.mark.parametrize("is_declared", [True, False])
async def test_a_head_has_headers_and_no_body(is_declared: bool) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await (reply(send, b"hello") if is_declared else stream(scope, receive, send))

    async with asking(app) as client:
        for _ in range(2):
            client.send(b"HEAD / HTTP/1.1\r\nhost: x\r\n\r\n")
            answer = await client.answer(has_body=False)
            assert answer.headers.get("content-length") == ("5" if is_declared else None)
            assert "transfer-encoding" not in answer.headers


@pytest.mark.parametrize("status", [204, 304])
async def test_a_status_without_a_body_has_none(status: int) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async with asking(app) as client:
        for _ in range(2):
            client.send(GET)
            assert await client.head() == (status, {})


async def test_an_unknown_status_has_a_line() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await reply(send, b"", 599)

    async with asking(app) as client:
        client.send(GET)
        assert (await client.answer()).status == 599


async def test_connection_close_is_kept_to_and_told() -> None:
    async with asking(echo) as client:
        client.send(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\nGET /not-a-request")
        answer = await client.answer()
        assert (answer.body, answer.headers["connection"]) == (b"/ ", "close")
        assert await client.closed() == b""


async def test_an_application_may_close() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await reply(send, b"x", 200, (b"connection", b"close"))

    async with asking(app) as client:
        client.send(GET)
        assert (await client.answer()).headers["connection"] == "close"
        assert await client.closed() == b""


async def test_http_1_0_gets_no_chunks_and_a_close() -> None:
    async with asking(stream) as client:
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        status, headers = await client.head()
        assert (status, headers) == (200, {"content-type": "text/plain", "connection": "close"})
        assert await client.closed() == b"onetwo"


async def test_an_http_1_0_answer_without_its_end_is_a_reset() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await go.wait()

    go = asyncio.Event()
    async with asking(app) as client:
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        await client.head()
        assert await client.reader.readexactly(3) == b"one"
        go.set()
        with pytest.raises(ConnectionResetError):
            await client.closed()


async def test_an_answer_without_its_end_is_closed_without_its_last_chunk() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})

    async with asking(app) as client:
        client.send(GET)
        await client.head()
        assert await client.closed() == b"3\r\none\r\n"


@pytest.mark.parametrize("body", [b"12", b"1234"])
async def test_a_wrong_content_length_is_never_sent_out_as_right(body: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"3")]})
        await send({"type": "http.response.body", "body": body})

    async with asking(app) as client:
        client.send(GET)
        assert (await client.answer()).status == 500
        assert await client.closed() == b""
    assert "than its content-length" in caplog.text


async def test_a_fault_before_the_answer_is_a_500(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise KeyError("a bug")

    async with asking(app) as client:
        client.send(b"GET /some/path HTTP/1.1\r\nhost: x\r\n\r\n")
        answer = await client.answer()
        assert (answer.status, answer.code, answer.headers["connection"]) == (500, "internal_error", "close")
        assert b"a bug" not in answer.body
        assert await client.closed() == b""
    assert "GET /some/path failed" in caplog.text
    assert "KeyError: 'a bug'" in caplog.text


async def test_a_fault_in_the_answer_closes(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        raise KeyError("a bug")

    async with asking(app) as client:
        client.send(GET)
        await client.head()
        assert await client.closed() == b"3\r\none\r\n"
    assert "KeyError: 'a bug'" in caplog.text


@pytest.mark.parametrize("value", [b"a\r\nx-injected: 1", b"a\nb", b"a\rb"])
async def test_a_header_with_a_line_break_does_not_leave(value: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await reply(send, b"", 200, (b"x-a", value))

    async with asking(app) as client:
        client.send(GET)
        answer = await client.answer()
        assert answer.status == 500
        assert "x-injected" not in answer.headers


async def test_no_message_leaves_out_of_order() -> None:
    faults: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with pytest.raises(RuntimeError) as early:
            await send({"type": "http.response.body", "body": b""})
        await reply(send)
        with pytest.raises(RuntimeError) as late:
            await send({"type": "http.response.body", "body": b""})
        faults.extend((str(early.value), str(late.value)))

    await exchange(app, GET)
    assert len(faults) == 2


async def test_sending_waits_for_a_client_that_does_not_read() -> None:
    sent = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(1000):
            await send({"type": "http.response.body", "body": bytes(100_000), "more_body": True})
            sent += 100_000
        await send({"type": "http.response.body"})

    async with serving(app) as server, raw_client(server.port, limit=1024) as client:  # type: ignore[attr-defined]
        client.send(GET)
        await client.head()
        before = -1
        while sent != before:
            before = sent
            await asyncio.sleep(0.1)
        [connection] = server.connections
        assert connection.transport.get_write_buffer_size() < 300_000
        assert sent < 50_000_000
        assert sum([len(chunk) async for chunk in client.chunks()]) == 100_000_000


async def test_a_client_that_leaves_ends_the_waiting_of_who_sends() -> None:
    full, left = asyncio.Event(), asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        chunk = {"type": "http.response.body", "body": bytes(10_000_000), "more_body": True}
        await send(chunk)
        waiting = asyncio.create_task(send(chunk))
        await asyncio.sleep(0)
        assert not waiting.done()
        full.set()
        await waiting
        left.set()

    async with asking(app) as client:
        client.send(GET)
        await full.wait()
        client.writer.transport.abort()
        await left.wait()


async def test_a_client_that_leaves_with_much_unread_is_a_disconnect() -> None:
    full, left = asyncio.Event(), asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": bytes(30_000_000), "more_body": True})
        full.set()
        assert (await receive())["type"] == "http.disconnect"
        left.set()

    async with serving(app) as server, raw_client(server.port, limit=1024) as client:  # type: ignore[attr-defined]
        client.send(GET)
        await full.wait()
        client.writer.write_eof()
        await left.wait()


# More than one request.


async def test_a_connection_is_kept() -> None:
    async with asking(echo) as client:
        for number in range(5):
            client.send(b"GET /%d HTTP/1.1\r\nhost: x\r\n\r\n" % number)
            answer = await client.answer()
            assert (answer.body, answer.headers.get("connection")) == (b"/%d " % number, None)


async def test_pipelined_requests_are_answered_in_order() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.01 if scope["path"].endswith("0") else 0)
        await echo(scope, receive, send)

    async with asking(app) as client:
        for number in range(300):
            client.send(b"POST /%d HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nab" % number)
        for number in range(300):
            assert (await client.answer()).body == b"/%d ab" % number


async def test_pipelined_requests_wait_at_the_client() -> None:
    go = asyncio.Event()
    started = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal started
        started += 1
        await go.wait()
        await reply(send)

    request = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 200000\r\n\r\n" + bytes(200_000)
    async with asking(app) as client:
        client.writer.writelines([request] * 200)
        transport, before = client.writer.transport, -1
        while transport.get_write_buffer_size() != before:
            before = transport.get_write_buffer_size()
            await asyncio.sleep(0.1)
        assert before > 10_000_000
        assert started == 1
        go.set()
        for _ in range(200):
            await client.answer()


async def test_too_many_tiny_requests_at_once_are_refused_after_their_answers() -> None:
    async with asking(echo) as client:
        client.send(b"GET / HTTP/1.1\r\n\r\n" * 2000)
        answers = 0
        while (answer := await client.answer()).status == 200:
            answers += 1
        assert 1000 < answers < 2000
        assert (answer.status, answer.code) == (400, "malformed_request")
        assert await client.closed() == b""


async def test_what_is_malformed_is_refused_after_the_answers_to_what_was_not() -> None:
    async with asking(echo) as client:
        client.send(GET + GET + b"nonsense\r\n\r\n")
        assert [(await client.answer()).status for _ in range(3)] == [200, 200, 400]
        assert await client.closed() == b""


async def test_an_early_answer_reaches_a_client_that_is_still_sending() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await reply(send, b"too large", 400)

    async with asking(app) as client:
        client.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 20000000\r\n\r\n")
        client.send(bytes(20_000_000))
        await client.writer.drain()
        answer = await client.answer()
        assert (answer.status, answer.body, answer.headers["connection"]) == (400, b"too large", "close")
        assert await client.closed() == b""


# The server.


async def test_an_idle_connection_is_closed() -> None:
    async with asking(echo, HttpLimits(30, 30, keepalive_s=0.1)) as client:
        client.send(GET)
        assert (await client.answer()).status == 200
        assert await client.closed() == b""


async def test_a_connection_over_the_limit_is_a_503() -> None:
    limits = HttpLimits(30, 30, max_connections=1)
    async with serving(echo, limits) as server:
        port = server.port  # type: ignore[attr-defined]
        async with raw_client(port) as first:
            first.send(GET)
            assert (await first.answer()).status == 200
            async with raw_client(port) as second:
                answer = await second.answer()
                assert (answer.status, answer.code) == (503, "too_many_connections")
                assert int(answer.headers["retry-after"]) > 0
                assert await second.closed() == b""
            first.send(GET)
            assert (await first.answer()).status == 200
        while server.connections:
            await asyncio.sleep(0.01)
        async with raw_client(port) as third:
            third.send(GET)
            assert (await third.answer()).status == 200


async def test_closing_lets_an_answer_finish_and_hangs_up_on_the_idle() -> None:
    go, arrived = asyncio.Event(), asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        arrived.set()
        await go.wait()
        await reply(send, b"whole")

    async with serving(app) as server:
        port = server.port  # type: ignore[attr-defined]
        async with raw_client(port) as idle, raw_client(port) as busy:
            busy.send(GET)
            await arrived.wait()
            closing = asyncio.create_task(server.close(20))
            assert await idle.closed() == b""
            go.set()
            answer = await busy.answer()
            assert (answer.body, answer.headers["connection"]) == (b"whole", "close")
            assert await busy.closed() == b""
            busy.writer.close()
            await closing


async def test_closing_does_not_wait_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    cancelled, arrived = asyncio.Event(), asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        arrived.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with serving(app) as server, raw_client(server.port) as client:  # type: ignore[attr-defined]
        client.send(GET)
        await arrived.wait()
        await server.close(0.05)
        assert cancelled.is_set()
        assert await client.closed() == b""
    assert not caplog.records


async def test_while_it_retires_every_answer_is_the_last() -> None:
    async with serving(echo) as server, raw_client(server.port) as client:  # type: ignore[attr-defined]
        client.send(GET)
        assert "connection" not in (await client.answer()).headers
        server.retire()
        client.send(GET)
        assert (await client.answer()).headers["connection"] == "close"
        assert await client.closed() == b""


async def test_two_processes_may_share_a_port() -> None:
    with listen_on("127.0.0.1", 0, reuse_port=True) as first:
        port = first.getsockname()[1]
        with listen_on("127.0.0.1", port, reuse_port=True) as second:
            assert second.getsockname()[1] == port


async def test_a_refusal_names_its_client_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "freehold.gateway")
    async with asking(echo) as client:
        client.send(b"nonsense\r\n\r\n")
        assert (await client.answer()).status == 400
    assert "Refused ('127.0.0.1', " in caplog.text
