"""One request and its answer: what the application receives and sends."""

import asyncio
from collections.abc import Callable, Iterable

from starlette.types import Message, Scope

from freehold.serve.gateway.http.flow import Flow
from freehold.serve.gateway.http.limits import HIGH_WATER_BYTES
from freehold.serve.gateway.http.response import BODYLESS, CHUNKED, UNTIL_CLOSE, render_head

CYCLE = "freehold.cycle"
"""ASGI extension: the `Cycle` itself. What the relay does with it costs neither a message nor a coroutine."""

COPY_BYTES = 64 * 1024
"""A body up to this is copied next to its framing; of a larger one only the framing is written apart."""


class Cycle:
    """Made when the headers are there; `on_answered(cycle)` is called with the answer's last byte."""

    __slots__ = (
        "_has_started",
        "_head",
        "_held_bytes",
        "_is_taken",
        "_length",
        "_on_answered",
        "_on_gone",
        "_pieces",
        "_waiters",
        "awaits_invitation",
        "flow",
        "has_written",
        "is_answered",
        "is_gone",
        "is_whole",
        "keeps_alive",
        "scope",
        "task",
    )

    def __init__(self, scope: Scope, flow: Flow, keeps_alive: bool, on_answered: Callable[["Cycle"], None]) -> None:
        self.scope = scope
        self.flow = flow
        self.keeps_alive = keeps_alive
        """Another request may follow this one. What it is when the answer starts is what the client is told."""
        self.task: asyncio.Task[None] | None = None
        """The one that the application answers in; none before it has the request."""
        self.is_whole = False
        """The request has arrived to its end."""
        self.is_gone = False
        """Nobody is there to send to any more."""
        self.is_answered = False
        self.has_written = False
        """Some of the answer has left."""
        self.awaits_invitation = False
        """The client sends its body after a `100 Continue`."""
        self._pieces: list[bytes] = []
        self._held_bytes = 0
        self._is_taken = False
        self._waiters: list[asyncio.Future[None]] = []
        self._has_started = False
        self._head = b""
        self._length = BODYLESS
        self._on_answered = on_answered
        self._on_gone: Callable[[], None] | None = None
        scope["extensions"] = {CYCLE: self}

    @property
    def is_endless(self) -> bool:
        """The client takes the connection's end for the end of the body."""
        return self.has_written and self._length == UNTIL_CLOSE

    def expects_invitation(self) -> bool:
        """The client has asked for a `100 Continue`."""
        return any(name == b"expect" and value.lower() == b"100-continue" for name, value in self.scope["headers"])

    # What the connection tells.

    def body_arrived(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._held_bytes += len(piece)
        if self._held_bytes > HIGH_WATER_BYTES:
            self.flow.pause_reading()
        if self._waiters:
            self._wake()

    def request_ended(self) -> None:
        self.is_whole = True
        if self._waiters:
            self._wake()

    def client_left(self) -> None:
        self.is_gone = True
        self._wake()
        on_gone, self._on_gone = self._on_gone, None
        if on_gone is not None:
            on_gone()

    def release(self) -> None:
        """The application has ended: let go of what leads back here, or each request is left to the garbage collector.

        The scope holds the cycle, and the callback whoever holds that.
        """
        self._on_gone = None
        self.scope.pop("extensions", None)

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    # What the application calls.

    def when_gone(self, callback: Callable[[], None]) -> None:
        """Call this once if the client leaves before it has its answer: what a task that receives would find out."""
        self._on_gone = callback
        if self.is_gone:
            callback()

    def take_whole(self, limit: int) -> bytes | None:
        """The body, if all of it is there, none of it was taken, and it is no longer than that; else `receive` it."""
        pieces = self._pieces
        if self.is_gone or not self.is_whole or len(pieces) != 1 or len(pieces[0]) > limit:
            return None
        self._is_taken = True
        self._held_bytes = 0
        self.flow.resume_reading()
        return pieces.pop()

    def start(self, status: int, headers: Iterable[tuple[bytes, bytes]], lines: bytes = b"") -> None:
        """The answer's head, which leaves with the first of its body; `lines` are headers in their final form."""
        if not self.is_gone:
            self._start(status, headers, lines)

    def push(self, body: bytes, *, more: bool = True) -> bool:
        """A piece of the answer's body; returns whether to wait for `room` before the next one."""
        if not self.is_gone:
            self._send_body(body, more)
        return self.flow.is_full and not self.is_gone

    async def room(self) -> None:
        """Return when the client has taken enough of what was pushed, or has left."""
        if self.flow.is_full and not self.is_gone:
            await self.flow.room()

    async def receive(self) -> Message:
        while not (self.is_gone or self.is_answered):
            if self._pieces or (self.is_whole and not self._is_taken):
                return self._take()
            if self.awaits_invitation and not self._has_started:
                self.awaits_invitation = False
                self.flow.invite()
            waiter: asyncio.Future[None] = self.flow.loop.create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            finally:
                self._waiters.remove(waiter)
        return {"type": "http.disconnect"}

    def _take(self) -> Message:
        pieces = self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._held_bytes = 0
        self._is_taken = self.is_whole
        self.flow.resume_reading()
        return {"type": "http.request", "body": body, "more_body": not self.is_whole}

    async def send(self, message: Message) -> None:
        await self.room()
        if self.is_gone:
            return
        kind = message["type"]
        if kind == "http.response.body" and self._has_started and not self.is_answered:
            self._send_body(message.get("body", b""), message.get("more_body", False))
        elif kind == "http.response.start" and not self._has_started:
            self._start(message["status"], message.get("headers", ()), b"")
        else:
            raise RuntimeError(f"ASGI message '{kind}' does not belong here")

    def _start(self, status: int, headers: Iterable[tuple[bytes, bytes]], lines: bytes) -> None:
        scope = self.scope
        self._head, self._length, closes = render_head(
            status,
            headers,
            lines,
            method=scope["method"],
            version=scope["http_version"],
            # What is left of an unread body would be taken for the next request.
            closes=not (self.keeps_alive and self.is_whole),
        )
        self.keeps_alive = not closes
        self._has_started = True
        # The head goes with the body's first bytes, one system call for both. A stream may take long to get there.
        if self._length == CHUNKED or self._length == UNTIL_CLOSE:
            self.flow.loop.call_soon(self._flush_head)

    def _flush_head(self) -> None:
        if self._head and not self.is_gone:
            self.has_written = True
            self.flow.write(self._head)
            self._head = b""

    def _send_body(self, body: bytes, more: bool) -> None:
        length = self._length
        if length == CHUNKED:
            self._write_chunk(body, more)
        elif length == BODYLESS:
            self._write(b"")
        else:
            if length >= 0:
                length -= len(body)
                if length < 0 or (length and not more):
                    raise RuntimeError(f"The body is {'shorter' if length > 0 else 'longer'} than its content-length")
                self._length = length
            self._write(body)
        if not more:
            self.is_answered = True
            if self._waiters:
                self._wake()
            self._on_answered(self)

    def _write_chunk(self, body: bytes, more: bool) -> None:
        head, self._head = self._head, b""
        self.has_written = True
        end = b"" if more else b"0\r\n\r\n"
        if not body:
            self.flow.write(head + end)
        elif len(body) <= COPY_BYTES:
            self.flow.write(b"%b%x\r\n%b\r\n%b" % (head, len(body), body, end))
        else:
            self.flow.transport.writelines((b"%b%x\r\n" % (head, len(body)), body, b"\r\n" + end))

    def _write(self, body: bytes) -> None:
        head, self._head = self._head, b""
        self.has_written = True
        if not head:
            self.flow.write(body)
        elif len(body) <= COPY_BYTES:
            self.flow.write(head + body)
        else:
            self.flow.transport.writelines((head, body))
