"""One HTTP/1.1 connection towards an engine: asyncio's transport and httptools' parser, and nothing between them.

aiohttp's client spends half of the gateway's CPU per request on what a relay has no use for: payload classes, cookies,
redirects, a task for each body (`bench/gateway` has the figures). It also forgets what had arrived when a connection
breaks; here every byte that the engine got out reaches the client.
"""

import asyncio
import contextlib
from collections.abc import Callable

import httptools

from freehold.serve.gateway.headers import HOP_BY_HOP

HIGH_WATER_BYTES = 256 * 1024
"""More than this waiting for a slow client, and the engine is not read from."""

MAX_HEAD_BYTES = 1024 * 1024
"""Before an answer's headers are whole, interim answers included; one read may bring some of the body with them."""


class ConnectionBroken(Exception):
    """The engine's side closed, or sent what is not HTTP, before the end of its answer."""


class EngineConnection(asyncio.Protocol):
    """Carries one request at a time. `on_idle(connection)` is called by `finish` if it can carry another."""

    def __init__(self, on_idle: Callable[["EngineConnection"], None]) -> None:
        self.status = 0
        """Of the answer; 0 before it."""
        self.headers: list[tuple[bytes, bytes]] = []
        """Of the answer, without the connection's own; names in lower case."""
        self.fields: dict[bytes, bytes] = {}
        """The same by name, the first of each."""
        self.has_rate_limits = False
        """The answer tells of limits on requests."""
        self.idle_since = 0.0
        self._arriving: list[tuple[bytes, bytes]] = []
        self._on_idle = on_idle
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._pieces: list[bytes] = []
        self._waiting_bytes = 0
        self._is_paused = False
        self._gathers = False
        self._has_head = False
        self._head_bytes = 0
        self._is_whole = True
        self._is_framed = False
        self._ends_with_connection = False
        self._keeps_alive = False
        self._broken: ConnectionBroken | None = None

    @property
    def is_usable(self) -> bool:
        """It was not closed while nobody looked."""
        return self._broken is None

    @property
    def is_whole(self) -> bool:
        """The answer has arrived to its end, whether it was read or not."""
        return self._is_whole and self._has_head

    @property
    def is_read(self) -> bool:
        """The answer was read to its end."""
        return self.is_whole and not self._pieces

    async def ask(self, request: bytes) -> None:
        """Send a request and wait for the answer's status and headers. Raises ConnectionBroken."""
        assert self._transport is not None, "the connection is made"
        self.status, self.headers, self.fields = 0, [], {}
        self._has_head = self._is_whole = self._gathers = False
        self._head_bytes = self._waiting_bytes = 0
        self._transport.write(request)
        while not self._has_head:
            # `_wait`, without a coroutine: every request comes by here.
            if self._broken is not None:
                raise self._broken
            waiter = self._waiter = self._loop.create_future()
            await waiter

    async def read(self) -> bytes:
        """What has arrived of the body, at least one byte; nothing at its end. Raises ConnectionBroken."""
        pieces = self._pieces
        if self._is_paused:
            self._resume()
        while not pieces:
            if self._is_whole:
                return b""
            await self._wait()
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._waiting_bytes = 0
        return data

    def hold(self) -> None:
        """Leave what arrives with the kernel until the next `read`, which then gets all of it at once."""
        if not self._is_paused and not self._is_whole and self._transport is not None:
            self._pause(self._transport)

    def _pause(self, transport: asyncio.Transport) -> None:
        self._is_paused = True
        with contextlib.suppress(RuntimeError):  # it is closing
            transport.pause_reading()

    def _resume(self) -> None:
        if self._is_paused and self._transport is not None:
            self._is_paused = False
            self._transport.resume_reading()

    async def read_all(self) -> bytes:
        """The whole body, which the caller knows to be small. Raises ConnectionBroken; nothing is lost if cancelled."""
        self._gathers = True
        self._resume()
        while not self._is_whole:
            await self._wait()
        return await self.read() if self._pieces else b""

    def take_whole(self) -> bytes | None:
        """The whole body, if it has arrived in one piece; else `read_all`."""
        if not self._is_whole or len(self._pieces) != 1 or self._is_paused:
            return None
        self._waiting_bytes = 0
        return self._pieces.pop()

    async def rest(self) -> bytes:
        """`read`, also where the answer's head has not come yet."""
        while not self._has_head:
            await self._wait()
        return await self.read()

    def finish(self) -> None:
        """The exchange is over: keep the connection if its answer was read to the end, else close it.

        Closing is what tells an engine to abort the request.
        """
        if self._keeps_alive and self._is_whole and not self._pieces and self._is_all_sent():
            self._on_idle(self)
        else:
            self.close()

    def _is_all_sent(self) -> bool:
        """An engine may refuse a long request before its end, and then it reads no further."""
        return self._broken is None and self._transport is not None and not self._transport.get_write_buffer_size()

    def close(self) -> None:
        self._broken = self._broken or ConnectionBroken("closed by the gateway")
        if self._transport is not None:
            # Nothing that is still unsent matters to an engine whose answer nobody reads.
            self._transport.abort()

    async def _wait(self) -> None:
        if self._broken is not None:
            raise self._broken
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _break(self, why: str) -> None:
        if self._broken is None:
            self._broken = ConnectionBroken(why)
        self._wake()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if not self._has_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._break(f"headers of over {MAX_HEAD_BYTES} bytes")
                self.close()
                return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._break(f"not an HTTP answer: {error}")
            self.close()
        # What follows is done once for all that the parser made of it.
        if self._has_head and not self._gathers:
            self._waiting_bytes += len(data)
            if self._waiting_bytes > HIGH_WATER_BYTES and not self._is_paused and self._transport is not None:
                self._pause(self._transport)
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._ends_with_connection and self._has_head and exc is None:
            self._is_whole = True
        self._break(str(exc) if exc else "the connection was closed")

    # What httptools calls.

    def on_message_begin(self) -> None:
        self._arriving, self._is_framed, self.has_rate_limits = [], False, False
        if self._is_whole:
            # Nobody has asked: taken for the next request's answer, it would go to the wrong client.
            self._break("the engine sent an answer that nobody asked for")
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name not in HOP_BY_HOP:
            self._arriving.append((name, value))
            if name.startswith(b"x-ratelimit-"):
                self.has_rate_limits = True
        elif name == b"transfer-encoding":
            self._is_framed = True

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 100:  # taken for an interim answer, it would have the client wait for a real one
            self._break(f"not an HTTP answer: status {status}")
            self.close()
            return
        if status < 200 or self._is_whole:  # an interim answer, which the real one follows, or a stray one
            return
        self.headers = self._arriving
        self.fields = dict(reversed(self._arriving))
        self._is_framed = self._is_framed or b"content-length" in self.fields
        self._ends_with_connection = not self._is_framed and status not in (204, 304)
        # The parser forgets this with the end of the body.
        self._keeps_alive = self._parser.should_keep_alive()
        self.status, self._has_head = status, True

    def on_body(self, body: bytes) -> None:
        if not self._is_whole:
            self._pieces.append(body)

    def on_message_complete(self) -> None:
        if self._has_head:
            self._is_whole = True
