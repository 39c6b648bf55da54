"""What the gateway refuses, and the one place that turns an error into the envelope a client understands.

OpenAI: https://platform.openai.com/docs/guides/error-codes, Anthropic: https://docs.anthropic.com/en/api/errors
"""

import json
import math
from collections.abc import Mapping
from typing import Any, Literal

from starlette.types import Send

from freehold.core.errors import EngineError, FreeholdError, NotFoundError, RefusedError, RemoteError, UserError
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


class EndpointNotSupported(NotFoundError):
    """The gateway has the path, the engine has not for a model of this kind."""

    code = "endpoint_not_supported"


class MethodNotAllowed(UserError):
    """The path exists, the method does not."""

    http_status = 405
    code = "method_not_allowed"

    def __init__(self, method: str, path: str, allowed: str) -> None:
        super().__init__(f"{method} is not allowed on {path}", next_step=f"Use {allowed}.")
        self.allowed = allowed


class Unauthorized(UserError):
    """The request brings no key that is valid here. Its message never repeats the key."""

    http_status = 401
    code = "invalid_api_key"


class UnknownKey(Unauthorized):
    """It could be a key of this gateway, but none that is known so far: another replica may have just made it."""


class NoKey(Unauthorized):
    """No key was sent at all."""


class SessionSent(UnknownKey):
    """No key was sent, but a session of the console, which a look at the database tells."""


class NotAllowed(RefusedError):
    """The key is valid, and does not reach as far as the request asks."""

    def __init__(self, what: str, *, why: str = "", next_step: str = "", code: str) -> None:
        """`code` is `model_not_allowed`, `must_stay`, `admin_only`, `role_too_low`, `key_needed` or `csrf`."""
        super().__init__(what, why=why, next_step=next_step)
        self.code = code


class OverLimit(UserError):
    """A limit of the key is used up: for some seconds (`rate_limit_exceeded`) or the month (`insufficient_quota`)."""

    http_status = 429

    def __init__(
        self,
        what: str,
        *,
        why: str,
        next_step: str,
        code: Literal["rate_limit_exceeded", "insufficient_quota"],
        retry_after_s: float,
        headers: Mapping[str, str],
        kind: Literal["requests", "tokens"] = "requests",
    ) -> None:
        """`headers` (`x-ratelimit-…`) go into the answer; `kind` is what ran out, as OpenAI's `type` says it."""
        super().__init__(what, why=why, next_step=next_step)
        self.code = code
        self.retry_after_s = retry_after_s
        self.headers = headers
        self.kind = kind


class Unavailable(EngineError):
    """Nothing was sent to an engine; the same request may succeed in `retry_after_s`."""

    code = "model_not_ready"

    def __init__(self, what: str, *, why: str = "", next_step: str = "", retry_after_s: int = 5) -> None:
        super().__init__(what, why=why, next_step=next_step)
        self.retry_after_s = retry_after_s


class Draining(Unavailable):
    """The gateway is about to stop."""

    code = "shutting_down"


class KeysUnavailable(Unavailable):
    """The database does not answer, and the request's key is not among those known from before."""

    code = "keys_unavailable"


class WorkerSilent(Unavailable):
    """A worker of this gateway may know what is asked for, and does not answer its siblings."""

    code = "worker_silent"


class EngineSilent(RemoteError):
    """The engine took the request and did not begin to answer in the time that the route gives it."""

    http_status = 504
    code = "engine_timeout"


class EngineLost(RemoteError):
    """The engine took the request and died before the end of its answer."""

    code = "engine_lost"


_ANTHROPIC_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}


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
            "type": _openai_type(error),
            "param": getattr(error, "param", None),
            "code": error.code,
        }
    }


def _openai_type(error: FreeholdError) -> str:
    """What OpenAI itself sends: a wrong key is an `invalid_request_error` there too; the code tells it apart."""
    if isinstance(error, OverLimit):
        return error.code if error.code == "insufficient_quota" else error.kind
    return "server_error" if error.http_status >= 500 else "invalid_request_error"


def error_headers(error: FreeholdError) -> dict[str, str]:
    """Headers that belong to the error itself."""
    match error:
        case Unavailable():
            return {"retry-after": str(error.retry_after_s)}
        case OverLimit():
            return {**error.headers, **_retry_headers(error)}
        case Unauthorized():
            return {"www-authenticate": "Bearer"}
        case MethodNotAllowed():
            return {"allow": error.allowed}
        case _:
            return {}


def _retry_headers(error: OverLimit) -> dict[str, str]:
    # RFC 9110 knows whole seconds only; 0 would bring the client back at once.
    headers = {"retry-after": str(max(1, math.ceil(error.retry_after_s)))}
    # A budget that requests in flight have reserved may have room in a second; one that is used up has none.
    if error.code == "insufficient_quota" and error.retry_after_s > 1:
        headers["x-should-retry"] = "false"  # the SDKs of OpenAI and Anthropic would else try again within seconds
    return headers


def stream_event(error: FreeholdError, dialect: Dialect) -> bytes:
    """The error as a server-sent event, for a stream whose status has already left."""
    if dialect is Dialect.RESPONSES:
        body: dict[str, Any] = {"type": "error", "code": error.code, "message": message_of(error), "param": None}
    else:
        body = envelope(error, dialect)
    name = b"" if dialect is Dialect.OPENAI else b"event: error\n"
    return name + b"data: " + json.dumps(body).encode() + b"\n\n"


def error_answer(error: FreeholdError, dialect: Dialect) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Headers and body of the answer that says it; its status is the error's."""
    body = json.dumps(envelope(error, dialect)).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    headers += [(name.encode(), value.encode()) for name, value in error_headers(error).items()]
    return headers, body


async def send_error(send: Send, error: FreeholdError, dialect: Dialect) -> None:
    """Answer with the error's status and envelope."""
    headers, body = error_answer(error, dialect)
    await send({"type": "http.response.start", "status": error.http_status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
