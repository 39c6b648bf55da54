"""The body of a large response, without the client's own parsing where that is safe to skip."""

from collections.abc import Iterator
from typing import Protocol

import httpcore2
import httpx2

READ_BYTES = 1 << 20
"""As much as a loopback or a fast network has ready at once; larger reads were slower, smaller ones cost more calls."""


class _Stream(Protocol):
    def read(self, max_bytes: int, timeout: float | None = None) -> bytes: ...


def read_body(response: httpx2.Response, timeout_s: float) -> Iterator[bytes]:
    """The bytes as sent, not decoded.

    The client passes a body through its protocol parser in pieces of 64 KiB, which costs a third as much CPU as
    hashing it. A body of known length in HTTP/1.1 needs no parsing, and the connection's stream is offered for direct
    reading (https://www.python-httpx.org/advanced/extensions/#network_stream), so all but its beginning is read there;
    the connection then ends with the response. Any other body goes the client's way. Either way the receiver compares
    the digest, so a wrong byte cannot pass.

    Raises httpx2.TransportError when the connection breaks.
    """
    pieces = response.iter_raw()
    stream, left = _direct(response)
    if stream is None:
        yield from pieces
        return
    # The first piece is all that the parser has taken in so far.
    first = next(pieces, b"")
    yield first
    left -= len(first)
    while left > 0:
        piece = _read(stream, min(left, READ_BYTES), timeout_s)
        yield piece
        left -= len(piece)
    if len(first) == int(response.headers["Content-Length"]):
        # Nothing was taken past the parser: let it see the end, and the connection serves the next small file.
        yield from pieces


def _direct(response: httpx2.Response) -> tuple[_Stream | None, int]:
    """The connection's stream, if the body is just so many bytes on it."""
    length = response.headers.get("Content-Length", "")
    plain = (
        response.extensions.get("http_version") == b"HTTP/1.1"
        and length.isdecimal()
        and "Transfer-Encoding" not in response.headers
    )
    return (response.extensions.get("network_stream"), int(length)) if plain else (None, 0)


def _read(stream: _Stream, max_bytes: int, timeout_s: float) -> bytes:
    try:
        piece = stream.read(max_bytes, timeout=timeout_s)
    except httpcore2.TimeoutException as error:
        raise httpx2.ReadTimeout(f"nothing arrived for {timeout_s:g} s") from error
    except httpcore2.NetworkError as error:
        raise httpx2.ReadError(str(error) or "the connection broke") from error
    if not piece:
        raise httpx2.RemoteProtocolError("the connection ended before the file did")
    return piece
