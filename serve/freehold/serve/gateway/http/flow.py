"""A connection's two directions, and who waits for them."""

import asyncio
from collections.abc import Callable


class Flow:
    """What one request's cycle may do with the connection; shared by all cycles on it."""

    __slots__ = ("_on_reading", "_waiters", "is_full", "is_reading", "loop", "transport", "write")

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, on_reading: Callable[[], None]
    ) -> None:
        self.transport = transport
        self.write = transport.write
        self.loop = loop
        self.is_full = False
        """More waits for the client than it should: see `room`."""
        self.is_reading = True
        self._on_reading = on_reading
        self._waiters: list[asyncio.Future[None]] = []

    def pause_reading(self) -> None:
        if self.is_reading and not self.transport.is_closing():
            self.is_reading = False
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if not self.is_reading and not self.transport.is_closing():
            self.is_reading = True
            self.transport.resume_reading()
            self._on_reading()

    def invite(self) -> None:
        """Tell a client that asked to be told, that its body is wanted."""
        self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._on_reading()

    async def room(self) -> None:
        """Wait until the client has taken enough of what was written, or has gone."""
        waiter: asyncio.Future[None] = self.loop.create_future()
        self._waiters.append(waiter)
        await waiter

    def fill(self) -> None:
        self.is_full = True

    def drain(self) -> None:
        self.is_full = False
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()
