"""The pooled HTTP client towards the engines."""

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

KEEPALIVE_S = 4.0
"""vLLM's server closes a connection that was idle for 5 s; one that is reused at that moment would cost a request."""

CONNECT_TIMEOUT_S = 10.0

AUTO_HEADERS = ("user-agent", "accept", "content-type")
"""What aiohttp adds unless it is told to skip it; skipping what is there already costs 3 µs."""


class RawBody(Payload):
    """Bytes that are sent as they are; aiohttp's own payload warns of every body above 1 MiB."""

    _value: bytes
    _autoclose = True

    def __init__(self, value: bytes) -> None:
        super().__init__(value)
        self._size = len(value)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self._value.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        await writer.write(self._value)


def new_client() -> aiohttp.ClientSession:
    """A client that changes nothing: no cookies, no decompression, no headers of its own, no limit but the engine's.

    Nothing but connecting has a time limit: a long prompt may take minutes before its first byte.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEPALIVE_S),
        timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=None),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    )
