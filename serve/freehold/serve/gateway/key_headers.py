"""Which key a request brings: `Authorization: Bearer KEY` as OpenAI's clients send it, `x-api-key` as Anthropic's."""

from collections.abc import Iterable, Sequence

from freehold.serve.gateway.errors import NoKey, SessionSent, Unauthorized

SESSION_COOKIES = (b"__Host-freehold", b"freehold")
"""The first where cookies are kept for HTTPS."""
TOKEN_HEADER = b"x-csrf-token"
HOW = "Send `Authorization: Bearer KEY` or `x-api-key: KEY`."


def presented_secret(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The secret in the headers, whose names are in lower case as ASGI has them.

    Raises Unauthorized if there are two that differ: which one would count is anybody's guess. Raises NoKey if there is
    none, as SessionSent if a session of the console was sent.
    """
    secret = b""
    for name, value in headers:
        if name == b"authorization":
            scheme, _, given = value.partition(b" ")
            if scheme.lower() != b"bearer":
                continue  # of a proxy on the way, such as Basic
            given = given.strip()
        elif name == b"x-api-key":
            given = value.strip()
        else:
            continue
        if secret and given and given != secret:
            raise Unauthorized("Two different API keys were sent", next_step="Send one.")
        secret = secret or given
    if not secret:
        raise (SessionSent if presented_session(headers) else NoKey)("No API key was sent", next_step=HOW)
    return secret


def presented_session(headers: Iterable[tuple[bytes, bytes]], names: Sequence[bytes] = SESSION_COOKIES) -> bytes:
    """The secret of a session of the console in a cookie of one of these names; empty if there is none."""
    for name, value in headers:
        if name == b"cookie":
            for part in value.split(b";"):
                key, _, secret = part.strip().partition(b"=")
                if key in names and secret:
                    return secret
    return b""


def presented_token(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """What was sent to show that a session's own page sends this; empty if nothing was."""
    return next((value for name, value in headers if name == TOKEN_HEADER), b"")
