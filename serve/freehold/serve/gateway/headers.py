"""Which headers go through. All do, but for the connection's own and the gateway's credentials."""

from collections.abc import Iterable, Mapping

from multidict import CIMultiDict

from freehold.serve.gateway.errors import RequestError

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

CREDENTIALS = frozenset({b"authorization", b"x-api-key", b"cookie"})
"""What a client proves itself to the gateway with; an engine gets its own from its config."""

# The client library writes host and content-length itself, answers `expect` here, and
# asks for no compression: a compressed stream is a buffered one.
_NOT_FORWARDED = HOP_BY_HOP | CREDENTIALS | {b"host", b"content-length", b"expect", b"accept-encoding"}

FINGERPRINT = b"x-freehold-fingerprint"

RawHeaders = Iterable[tuple[bytes, bytes]]


def to_engine(client: RawHeaders, engine: Mapping[str, str]) -> CIMultiDict[str]:
    """Headers for the engine: the client's, then the engine's own on top. Raises RequestError."""
    headers: CIMultiDict[str] = CIMultiDict()
    for name, value in client:
        if name not in _NOT_FORWARDED:
            headers.add(name.decode("latin-1"), _text(name, value))
        elif name == b"connection" and value.lower() not in (b"keep-alive", b"close"):
            for named in value.decode("latin-1").split(","):
                headers.popall(named.strip(), None)
    headers["accept-encoding"] = "identity"
    headers.update(engine)
    return headers


def to_client(engine: RawHeaders, fingerprint: str) -> list[tuple[bytes, bytes]]:
    """Headers for the client: the engine's as they are, and who answered."""
    headers = [pair for pair in engine if pair[0].lower() not in HOP_BY_HOP]
    if fingerprint:
        headers.append((FINGERPRINT, fingerprint.encode("latin-1")))
    return headers


def find(headers: RawHeaders, wanted: bytes) -> bytes:
    """Value of the first header of that (lower-case) name, or nothing."""
    for name, value in headers:
        if name == wanted:
            return value
    return b""


def _text(name: bytes, value: bytes) -> str:
    # The client library encodes header values as UTF-8: other bytes would not arrive as they were sent.
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise RequestError(
            f"Header {name.decode('latin-1')} is not UTF-8", why=str(error), code="invalid_header"
        ) from error
