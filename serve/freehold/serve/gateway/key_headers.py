"""Which key a request brings: `Authorization: Bearer KEY` as OpenAI's clients send it, `x-api-key` as Anthropic's."""

from collections.abc import Iterable

from freehold.serve.gateway.errors import Unauthorized

HOW = "Send `Authorization: Bearer KEY` or `x-api-key: KEY`."


def presented_secret(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The secret in the headers, whose names are in lower case as ASGI has them.

    Raises Unauthorized if there is none, or if there are two that differ: which one would count is anybody's guess.
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
        raise Unauthorized("No API key was sent", next_step=HOW)
    return secret
