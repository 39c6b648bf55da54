"""The head of an answer, and which way the body after it is framed."""

import http
from collections.abc import Iterable

CHUNKED = -1
"""Nobody knows the length; chunks say where the body ends."""
UNTIL_CLOSE = -2
"""Nobody knows the length, and an HTTP/1.0 client knows no chunks."""
BODYLESS = -3
"""The answer to a HEAD, a 204 or a 304: whatever the application sends is dropped."""

_FRAMING = frozenset({b"content-length", b"connection", b"transfer-encoding"})


def _status_line(status: int) -> bytes:
    try:
        phrase = http.HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}".encode()


_STATUS_LINES = {status: _status_line(status) for status in range(200, 600)}


def render_head(
    status: int,
    headers: Iterable[tuple[bytes, bytes]],
    more: bytes = b"",
    *,
    method: str = "GET",
    version: str = "1.1",
    closes: bool,
) -> tuple[bytes, int, bool]:
    """The status line and the headers; the body's length, declared or one of the constants above; whether it closes.

    Names must be in lower case, as ASGI wants them. Framing is the server's: a `transfer-encoding` of the application
    is left out. `more` are lines in their final form, each with its end, none of them about framing. Raises
    RuntimeError for a header that would end before its value does.
    """
    lines = [_STATUS_LINES.get(status) or _status_line(status)]
    length = CHUNKED
    for name, value in headers:
        if name in _FRAMING:
            if name == b"content-length":
                length = int(value)
            else:
                closes = closes or (name == b"connection" and b"close" in value.lower())
                continue
        lines.append(name + b": " + value)
    if method == "HEAD" or status in (204, 304):
        length = BODYLESS
    elif length == CHUNKED:
        if version == "1.0":
            length, closes = UNTIL_CLOSE, True
        else:
            lines.append(b"transfer-encoding: chunked")
    if closes:
        lines.append(b"connection: close")
    lines.append(more + b"\r\n")
    head = b"\r\n".join(lines)
    breaks = len(lines) + more.count(b"\r\n")
    if head.count(b"\n") != breaks or head.count(b"\r") != breaks:
        raise RuntimeError("A header of the answer contains a line break")
    return head, length, closes
