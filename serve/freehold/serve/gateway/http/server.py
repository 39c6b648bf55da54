"""Accepts connections for an ASGI application, and looks after their deadlines."""

import asyncio
import socket

from starlette.types import ASGIApp

from freehold.serve.gateway.http.connection import Connection, ServerState
from freehold.serve.gateway.http.limits import HttpLimits


class HttpServer:
    """Made within a running loop; `listen`, and later `retire` and `close`."""

    def __init__(self, app: ASGIApp, limits: HttpLimits) -> None:
        self._state = ServerState(app, limits)
        self._loop = self._state.loop
        self._listener: asyncio.Server | None = None
        self._ticker: asyncio.TimerHandle | None = None

    @property
    def connections(self) -> frozenset[Connection]:
        """Those that are open now."""
        return frozenset(self._state.connections)

    async def listen(self, bound: socket.socket, backlog: int) -> None:
        """Take connections from this socket, which stays the caller's."""
        self._listener = await self._loop.create_server(lambda: Connection(self._state), sock=bound, backlog=backlog)
        self._tick()

    def _tick(self) -> None:
        now = self._loop.time()
        for connection in [one for one in self._state.connections if one.deadline <= now]:
            connection.expire()
        self._ticker = self._loop.call_later(self._state.limits.tick_s, self._tick)

    def retire(self) -> None:
        """From now on every answer is the last one on its connection, and says so."""
        self._state.is_closing = True
        for connection in self._state.connections:
            connection.retire()

    async def close(self, timeout_s: float) -> None:
        """Stop listening, let what has been answered reach its clients, and cut off the rest after `timeout_s`."""
        self.retire()
        if self._listener is not None:
            self._listener.close()
        for connection in self.connections:
            connection.hang_up()
        try:
            async with asyncio.timeout(timeout_s):
                while self._state.connections:
                    self._state.all_gone.clear()
                    await self._state.all_gone.wait()
        except TimeoutError:
            for connection in self.connections:
                connection.transport.abort()
        if self._ticker is not None:
            self._ticker.cancel()
        if tasks := list(self._state.tasks):
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=timeout_s)
