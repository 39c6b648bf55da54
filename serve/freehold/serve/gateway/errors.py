"""What the gateway refuses, and the one place that turns an error into the envelope a client understands.

OpenAI: https://platform.openai.com/docs/guides/error-codes, Anthropic: https://docs.anthropic.com/en/api/errors
"""

import json
from typing import Any

from starlette.types import Send

from freehold.core.errors import EngineError, FreeholdError, NotFoundError, RemoteError, UserError
from freehold.serve.gateway.endpoints import Dialect


class RequestError(UserError):
    """The request's body or headers are wrong; `param` names the field if there is one."""

    def __init__(self, what: str, *, why: str = "", next_step: str = "", code: str, param: str | None = None) -> None:
        super().__init__(what, why=why, next_step=next_step)
        self.code = code
        self.param = param


class UnknownModel(NotFoundError):
    """No engine goes by the name in the request."""

    code = "model_not_found"
    param = "model"


class UnknownPath(NotFoundError):
    """The gateway has no such path."""

    code = "unknown_path"


class MethodNotAllowed(UserError):
    """The path exists, the method does not."""

    http_status = 405
    code = "method_not_allowed"

    def __init__(self, method: str, path: str, allowed: str) -> None:
        super().__init__(f"{method} is not allowed on {path}", next_step=f"Use {allowed}.")
        self.allowed = allowed


class Unavailable(EngineError):
    """Nothing was sent to an engine; the same request may succeed in `retry_after_s`."""

    code = "model_not_ready"

    def __init__(self, what: str, *, why: str = "", next_step: str = "", retry_after_s: int = 5) -> None:
        super().__init__(what, why=why, next_step=next_step)
        self.retry_after_s = retry_after_s


class Draining(Unavailable):
    """The gateway is about to stop."""

    code = "shutting_down"


class EngineLost(RemoteError):
    """The engine took the request and died before the end of its answer."""

    code = "engine_lost"


_ANTHROPIC_TYPES = {404: "not_found_error", 403: "permission_error", 503: "overloaded_error"}


def message_of(error: FreeholdError) -> str:
    """What failed, why, and what to do next, as one text."""
    return f"{error}. {error.next_step}" if error.next_step else str(error)


def envelope(error: FreeholdError, dialect: Dialect) -> dict[str, Any]:
    """The error as the body of a response in the dialect of its path."""
    status = error.http_status
    if dialect is Dialect.ANTHROPIC:
        kind = _ANTHROPIC_TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
        return {"type": "error", "error": {"type": kind, "message": message_of(error)}}
    return {
        "error": {
            "message": message_of(error),
            "type": "server_error" if status >= 500 else "invalid_request_error",
            "param": getattr(error, "param", None),
            "code": error.code,
        }
    }


def error_headers(error: FreeholdError) -> dict[str, str]:
    """Headers that belong to the error itself."""
    if isinstance(error, Unavailable):
        return {"retry-after": str(error.retry_after_s)}
    return {"allow": error.allowed} if isinstance(error, MethodNotAllowed) else {}


def stream_event(error: FreeholdError, dialect: Dialect) -> bytes:
    """The error as a server-sent event, for a stream whose status has already left."""
    if dialect is Dialect.RESPONSES:
        body: dict[str, Any] = {"type": "error", "code": error.code, "message": message_of(error), "param": None}
    else:
        body = envelope(error, dialect)
    name = b"" if dialect is Dialect.OPENAI else b"event: error\n"
    return name + b"data: " + json.dumps(body).encode() + b"\n\n"


async def send_error(send: Send, error: FreeholdError, dialect: Dialect) -> None:
    """Answer with the error's status and envelope."""
    body = json.dumps(envelope(error, dialect)).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    headers += [(name.encode(), value.encode()) for name, value in error_headers(error).items()]
    await send({"type": "http.response.start", "status": error.http_status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
