"""Read a request's body, and the model's name in it, once."""

import json
from typing import Any

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


def json_model(body: bytes) -> str:
    """The model named in a JSON body. Raises RequestError that says where the body is wrong."""
    try:
        document = json.loads(body.decode())
    except UnicodeDecodeError as error:
        raise _malformed(f"invalid UTF-8 at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise _malformed(f"{error.msg} at line {error.lineno}, column {error.colno} (character {error.pos})") from error
    except RecursionError as error:
        raise _malformed("nested too deeply") from error
    except ValueError as error:  # an integer of thousands of digits
        raise _malformed(str(error)) from error
    if not isinstance(document, dict):
        raise RequestError("The request body is not a JSON object", why=f"it is {_kind(document)}", code="invalid_body")
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


def with_json_model(body: bytes, model: str) -> bytes:
    """A valid JSON object with the value of its top-level `model` replaced and every other byte kept."""
    text = body.decode()
    start, end = _model_span(text)
    return (text[:start] + json.dumps(model) + text[end:]).encode()


def _model_span(text: str) -> Span:
    """Where the value of the last top-level `model` stands: the last one is what JSON parsers take."""
    decoder = json.JSONDecoder()
    found: Span | None = None
    position = _skip_blanks(text, _skip_blanks(text, 0) + 1)
    while text[position] == '"':
        key, position = decoder.raw_decode(text, position)
        start = _skip_blanks(text, _skip_blanks(text, position) + 1)
        _, end = decoder.raw_decode(text, start)
        if key == "model":
            found = (start, end)
        position = _skip_blanks(text, end)
        if text[position] == ",":
            position = _skip_blanks(text, position + 1)
    assert found is not None, "json_model has seen the field"
    return found


def _skip_blanks(text: str, position: int) -> int:
    while text[position] in " \t\n\r":
        position += 1
    return position


def _malformed(where: str) -> RequestError:
    return RequestError("The request body is not valid JSON", why=where, code="invalid_json")


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    names = {list: "an array", dict: "an object", str: "a string", bool: "a boolean"}
    return names.get(type(value), "a number")
