"""Read a request's body, and parse it, once."""

import json
from typing import Any

import msgspec
from starlette.types import Receive

from freehold.serve.gateway.errors import RequestError

Span = tuple[int, int]


class ClientLeft(Exception):
    """The client closed its connection before it had sent the whole request."""


async def read_body(receive: Receive, declared: bytes, limit: int) -> bytes:
    """The whole body. Raises RequestError past `limit` bytes, by the declared length before anything is read."""
    if declared and int(declared) > limit:
        raise _too_large(f"content-length says {int(declared)} bytes", limit)
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientLeft
    if not message.get("more_body", False) and len(message["body"]) <= limit:
        return message["body"]  # type: ignore[no-any-return]
    parts, size = [message["body"]], len(message["body"])
    while message.get("more_body", False) and size <= limit:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        parts.append(message["body"])
        size += len(message["body"])
    if size > limit:
        raise _too_large(f"more than {limit} bytes arrived", limit)
    return b"".join(parts)


def _too_large(why: str, limit: int) -> RequestError:
    return RequestError(
        "The request body is too large",
        why=why,
        next_step=f"The limit is {limit} bytes (gateway.maxBodyBytes).",
        code="body_too_large",
    )


def parse_object(body: bytes) -> dict[str, Any]:
    """What a JSON body says. Raises RequestError that tells where it is wrong."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        document = _parse_slowly(body)
    if not isinstance(document, dict):
        raise RequestError("The request body is not a JSON object", why=f"it is {_kind(document)}", code="invalid_body")
    return document


def _parse_slowly(body: bytes) -> Any:
    """By the standard library: it takes what Python servers take, and says where an error is."""
    try:
        return json.loads(body.decode())
    except UnicodeDecodeError as error:
        raise _malformed(f"invalid UTF-8 at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise _malformed(f"{error.msg} at line {error.lineno}, column {error.colno} (character {error.pos})") from error
    except RecursionError as error:
        raise _malformed("nested too deeply") from error
    except ValueError as error:  # an integer of thousands of digits
        raise _malformed(str(error)) from error


def model_of(document: dict[str, Any]) -> str:
    """The model that a request names. Raises RequestError."""
    model = document.get("model")
    if isinstance(model, str) and model:
        return model
    if "model" not in document:
        raise missing_model("the JSON body has no field 'model' at its top level")
    raise RequestError(
        "The field 'model' is not a model name",
        why=f"it is {_kind(model) if model != '' else 'empty'}",
        code="invalid_model",
        param="model",
    )


def missing_model(why: str) -> RequestError:
    """The request names no model; `why` says where it was looked for."""
    return RequestError(
        "The request names no model",
        why=why,
        next_step="GET /v1/models lists them.",
        code="missing_model",
        param="model",
    )


def _malformed(where: str) -> RequestError:
    return RequestError("The request body is not valid JSON", why=where, code="invalid_json")


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    names = {list: "an array", dict: "an object", str: "a string", bool: "a boolean"}
    return names.get(type(value), "a number")
