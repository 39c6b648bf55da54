"""Which headers go through. All do, but for the connection's own and the gateway's credentials."""

from collections.abc import Iterable, Mapping
from functools import lru_cache

from freehold.core.errors import EngineError

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1"""

CREDENTIALS = frozenset({b"authorization", b"x-api-key", b"cookie", b"x-csrf-token"})
"""What a client proves itself to the gateway with; an engine gets its own from its config."""

# `host`, `content-length` and `accept-encoding` are written anew, `expect` is answered here.
_NOT_FORWARDED = HOP_BY_HOP | CREDENTIALS | {b"host", b"content-length", b"expect", b"accept-encoding"}

_PLAIN = (b"keep-alive", b"close")
"""A `connection` header that names no other header."""

FINGERPRINT = b"x-freehold-fingerprint"
REQUEST_ID = b"x-request-id"
"""Both ways: vLLM makes it part of its own id of the request, SDKs show the answer's."""

RawHeaders = Iterable[tuple[bytes, bytes]]


def to_engine(
    client: RawHeaders, engine: Mapping[str, str], more: RawHeaders = (), without: frozenset[bytes] = frozenset()
) -> bytes:
    """The header lines for the engine: the client's as they are, but for those that the engine wants on every request,
    those in `more`, which are this request's own, and those named in `without`.

    No compression is asked for: a compressed stream is a buffered one. Raises EngineError.
    """
    if not engine and not without:
        pieces = [b"accept-encoding: identity\r\n"]
        for name, value in more:
            pieces += (name, b": ", value, b"\r\n")
        own_names = {name for name, _ in more}
        for name, value in client:
            if name not in _NOT_FORWARDED:
                if name not in own_names:
                    pieces += (name, b": ", value, b"\r\n")
            elif name == b"connection" and value.lower() not in _PLAIN:
                break  # it names headers that stay here
        else:
            return b"".join(pieces)
    own = {name.lower().encode("latin-1"): value for name, value in engine.items()}
    left_out = _NOT_FORWARDED | own.keys() | without if own or without else _NOT_FORWARDED
    pieces = [b"accept-encoding: identity\r\n"]
    for name, value in more:
        left_out = left_out | {name}
        pieces += (name, b": ", value, b"\r\n")
    for name, value in client:
        if name == b"connection" and value.lower() not in _PLAIN:
            left_out = left_out | {token.strip() for token in value.lower().split(b",")}
    for name, value in client:
        if name not in left_out:
            pieces += (name, b": ", value, b"\r\n")
    for name, text in own.items():
        if "\r" in text or "\n" in text:
            raise EngineError(f"The engine's header {name.decode()} has a line break", next_step="Check its secret.")
        pieces += (name, b": ", text.encode("latin-1"), b"\r\n")
    return b"".join(pieces)


def to_client(engine: Mapping[bytes, bytes], fingerprint: str, request_id: str) -> bytes:
    """Header lines for the client beside the engine's own: who answered what."""
    lines = _fingerprint_line(fingerprint)
    return lines if engine.get(REQUEST_ID) else b"%b%b: %b\r\n" % (lines, REQUEST_ID, request_id.encode("latin-1"))


@lru_cache(maxsize=1024)
def _fingerprint_line(fingerprint: str) -> bytes:
    return b"%b: %b\r\n" % (FINGERPRINT, fingerprint.encode("latin-1")) if fingerprint else b""


def find(headers: RawHeaders, wanted: bytes) -> bytes:
    """Value of the first header of that (lower-case) name, or nothing."""
    for name, value in headers:
        if name == wanted:
            return value
    return b""
