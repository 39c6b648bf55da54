"""The pooled HTTP client towards the engines: as many connections as there are requests, kept for the next ones."""

import asyncio
import ssl
from typing import NamedTuple
from urllib.parse import urlsplit

from freehold.serve.gateway.connection import EngineConnection

KEEPALIVE_S = 4.0
"""vLLM's server closes a connection that was idle for 5 s; one that is reused at that moment would cost a request."""

CONNECT_TIMEOUT_S = 10.0


class Origin(NamedTuple):
    """Where an engine listens."""

    host: str
    port: int
    is_secure: bool


class Address(NamedTuple):
    """A base URL taken apart; `host_header` and `prefix` are as a request needs them."""

    origin: Origin
    host_header: bytes
    prefix: bytes


def parse_base_url(url: str) -> Address:
    """`http://10.0.0.7:8000/prefix`, without a trailing slash."""
    parts = urlsplit(url)
    is_secure = parts.scheme == "https"
    assert parts.hostname, f"an engine's base URL names a host: {url}"
    port = parts.port or (443 if is_secure else 80)
    return Address(
        Origin(parts.hostname, port, is_secure), parts.netloc.rpartition("@")[2].encode("idna"), parts.path.encode()
    )


class EnginePool:
    """Connections by origin. No limit but the engine's; an idle one is closed after a while."""

    def __init__(self) -> None:
        self._idle: dict[Origin, list[EngineConnection]] = {}
        self._loop = asyncio.get_running_loop()
        self._sweeper: asyncio.TimerHandle | None = None
        self._tls: ssl.SSLContext | None = None

    def idle(self, origin: Origin) -> EngineConnection | None:
        """One that is free."""
        idle = self._idle.get(origin)
        freshest = self._loop.time() - KEEPALIVE_S
        while idle:
            connection = idle.pop()
            if connection.is_usable and connection.idle_since > freshest:
                return connection
            connection.close()
        return None

    async def connection(self, origin: Origin) -> EngineConnection:
        """One that is free, or a new one. Raises OSError (TimeoutError is one) if there is nobody to talk to."""
        return self.idle(origin) or await self._connect(origin)

    async def _connect(self, origin: Origin) -> EngineConnection:
        idle = self._idle.setdefault(origin, [])

        def keep(connection: EngineConnection) -> None:
            connection.idle_since = self._loop.time()
            idle.append(connection)
            if self._sweeper is None:
                self._sweeper = self._loop.call_later(KEEPALIVE_S, self._sweep)

        if origin.is_secure and self._tls is None:
            self._tls = ssl.create_default_context()
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            _, connection = await self._loop.create_connection(
                lambda: EngineConnection(keep), origin.host, origin.port, ssl=self._tls if origin.is_secure else None
            )
        return connection

    def _sweep(self) -> None:
        """Close what was idle for too long; comes back while anything is idle."""
        self._sweeper = None
        freshest = self._loop.time() - KEEPALIVE_S
        for idle in self._idle.values():
            stale = [one for one in idle if one.idle_since <= freshest or not one.is_usable]
            for connection in stale:
                idle.remove(connection)
                connection.close()
        if any(self._idle.values()):
            self._sweeper = self._loop.call_later(KEEPALIVE_S, self._sweep)

    def close(self) -> None:
        """Close what is idle; what is in use closes when its exchange is over."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for idle in self._idle.values():
            for connection in idle:
                connection.close()
            idle.clear()
