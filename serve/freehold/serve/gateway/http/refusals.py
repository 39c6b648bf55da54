"""What the HTTP server answers by itself, without asking the application: always in the OpenAI envelope, and the last
answer on its connection."""

import json

from freehold.core.errors import FreeholdError, UserError
from freehold.serve.gateway.endpoints import Dialect
from freehold.serve.gateway.errors import Unavailable, envelope, error_headers
from freehold.serve.gateway.http.response import render_head


class MalformedRequest(UserError):
    """What arrived is not HTTP/1.1, or could be read in two ways."""

    code = "malformed_request"

    def __init__(self, why: str) -> None:
        super().__init__("The request is not valid HTTP/1.1", why=why)


class RequestTimeout(UserError):
    """The client did not send in time what it had begun."""

    http_status = 408
    code = "request_timeout"


class TargetTooLong(UserError):
    """The request line is over its limit."""

    http_status = 414
    code = "target_too_long"


class HeadersTooLarge(UserError):
    """The headers, or what stands in a body without being body, are over their limit."""

    http_status = 431
    code = "headers_too_large"


class TooManyConnections(Unavailable):
    """This one is over the limit."""

    code = "too_many_connections"


def render_refusal(error: FreeholdError) -> bytes:
    """The whole answer, as it goes over the wire."""
    body = json.dumps(envelope(error, Dialect.OPENAI)).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    headers += [(name.encode(), value.encode()) for name, value in error_headers(error).items()]
    head, _, _ = render_head(error.http_status, headers, closes=True)
    return head + body
