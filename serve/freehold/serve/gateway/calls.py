"""The gateway's own requests to engines, beside those that it relays: abort, count tokens."""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from freehold.serve.engines.engine import Engine
from freehold.serve.engines.service import ServiceEngine
from freehold.serve.gateway import headers
from freehold.serve.gateway.connection import ConnectionBroken
from freehold.serve.gateway.pool import Address, EnginePool, parse_base_url


class Reply(NamedTuple):
    """A small answer, whole."""

    status: int
    body: bytes


class EngineCalls:
    """Speaks to engines over the relay's own pool."""

    def __init__(self, pool: Callable[[], EnginePool]) -> None:
        self._pool = pool
        self._addresses: dict[str, Address] = {}

    def address(self, engine: Engine) -> Address:
        """Where the engine listens."""
        address = self._addresses.get(engine.base_url)
        if address is None:
            address = self._addresses[engine.base_url] = parse_base_url(engine.base_url)
        return address

    async def post(
        self, engine: Engine, path: bytes, body: bytes, timeout_s: float, content_type: bytes = b"application/json"
    ) -> Reply | None:
        """The engine's answer, or that of one of its replicas; None if there is none in time."""
        if isinstance(engine, ServiceEngine):
            engine = engine.choose() or engine
        address = self.address(engine)
        lines = headers.to_engine([(b"content-type", content_type)], engine.headers)
        head = b"POST %b%b HTTP/1.1\r\nhost: %b\r\n%b" % (address.prefix, path, address.host_header, lines)
        try:
            async with asyncio.timeout(timeout_s):
                connection = await self._pool().connection(address.origin)
                try:
                    await connection.ask(b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body))
                    return Reply(connection.status, await connection.read_all())
                finally:
                    connection.finish()
        except (OSError, ConnectionBroken):  # TimeoutError is an OSError
            return None
