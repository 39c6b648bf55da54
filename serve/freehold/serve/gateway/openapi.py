"""The gateway's description of its own API, `GET /openapi.json`: FastAPI's for the pages, openapi.yaml for the rest."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from freehold.serve.gateway.endpoints import ENDPOINTS, STORED_RESPONSE, BodyFormat, Dialect, Endpoint

Part = dict[str, Any]

_SECURITY: list[dict[str, list[str]]] = [{"bearer": []}, {"apiKey": []}]
_ERRORS = {
    400: "The request is not valid",
    401: "No valid API key was sent",
    403: "The key does not reach as far",
    404: "What the request names does not exist",
    429: "A limit of the key is used up; `retry-after` says for how long",
    502: "The engine was lost before its answer",
    503: "It cannot be answered now; `retry-after` says when to try again, where that is known",
    504: "The engine did not begin its answer in time",
}
_RELAYED = (400, 401, 403, 404, 429, 502, 503, 504)
_OPENAI, _ANTHROPIC, _EITHER = "Error", "AnthropicError", "EitherError"
_SHAPES = {_OPENAI: [_OPENAI], _ANTHROPIC: [_ANTHROPIC], _EITHER: [_OPENAI, _ANTHROPIC]}
"""Which forms the errors of an operation may have."""
_OWNED = ("/v1/files", "/v1/fine_tuning/", "/v1/batches")
"""Pages whose content belongs to the key's team."""
_REFUSALS_OF_PAGES = {
    "create_fine_tuning_job": [404, 429],
    "create_batch": [429],
    "promote_artifact": [404],
    "start_job": [404, 429],
    "resume_job": [429],
}
"""Refusals of single pages: what they name in their bodies may be missing, or there are enough of what they make."""
_FROM_FASTAPI = "422"
"""Its refusals, which the gateway answers with a 400."""


def operation_id(route: APIRoute) -> str:
    """Names an operation for code generators; for FastAPI's `generate_unique_id_function`."""
    return route.name


def openapi_document(pages: FastAPI) -> Part:
    """What this gateway answers: its pages, and what it relays."""
    said = deepcopy(_said())
    document = get_openapi(version=version("freehold"), routes=pages.routes, tags=said["tags"], **said["info"])
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            operation.update(_over(operation, said["pages"].get(path, {}).get(method, {})))
            _guard(path, operation)
    for path, about in said["relayed"].items():
        document["paths"][path] = {"post": _relayed(ENDPOINTS[path], about)}
    for path, about in said["stored"].items():
        document["paths"][path] = {about["method"]: _stored(about)}
    document["components"] = _over(document.get("components", {}), said["components"])
    document["components"]["responses"] = _error_responses()
    for left_over in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(left_over, None)
    return document


@cache
def _said() -> Part:
    said: Part = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())
    return said


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> Part:
    """`above` laid over `below`, objects key by key, lists one after the other."""
    merged = {**below}
    for key, value in above.items():
        under = merged.get(key)
        if isinstance(under, dict) and isinstance(value, dict):
            merged[key] = _over(under, value)
        elif isinstance(under, list) and isinstance(value, list) and key == "parameters":
            merged[key] = under + value
        else:
            merged[key] = value
    return merged


def _guard(path: str, operation: Part) -> None:
    """Who may call a page, and how it refuses."""
    responses = operation["responses"]
    refuses_input = responses.pop(_FROM_FASTAPI, None) is not None
    names = {parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] != "header"}
    may_miss = [404] if "{" in path or "after" in names else []
    may_miss += _REFUSALS_OF_PAGES.get(operation["operationId"], [])
    if path.startswith("/admin/"):
        responses |= _errors([400] * refuses_input + [401, 403, *may_miss, 503], _OPENAI)
    elif path.startswith(_OWNED):
        responses |= _errors([400, 401, 403, *may_miss, 503], _OPENAI)
    elif path.startswith("/v1/"):
        responses |= _errors([401, *may_miss, 503], _EITHER)
    else:
        return
    operation["security"] = _SECURITY


def _relayed(endpoint: Endpoint, about: Part) -> Part:
    is_form = endpoint.body_format is BodyFormat.MULTIPART
    schema = {
        "type": "object",
        "required": ["model"],
        "properties": {"model": {"type": "string", "minLength": 1}, **about["fields"]},
        "additionalProperties": True,
    }
    content = {"multipart/form-data" if is_form else "application/json": {"schema": schema}}
    return {**_operation(endpoint, about), "requestBody": {"required": True, "content": content}}


def _stored(about: Part) -> Part:
    name = {"name": "response_id", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    return {**_operation(STORED_RESPONSE, about), "parameters": [name]}


def _operation(endpoint: Endpoint, about: Part) -> Part:
    contents: Part = {"application/json": {"schema": {"type": "object"}}}
    if about.get("streams"):
        contents["text/event-stream"] = {}  # events have no schema of the whole
    if about.get("texts"):
        contents["text/plain"] = {"schema": {"type": "string"}}
    envelope = _ANTHROPIC if endpoint.dialect is Dialect.ANTHROPIC else _OPENAI
    answer = {"description": "The engine's answer, byte for byte", "content": contents}
    return {
        "operationId": about["id"],
        "summary": about["summary"],
        "tags": ["inference"],
        "security": _SECURITY,
        "responses": {"200": answer, **_errors(_RELAYED, envelope)},
    }


def _errors(statuses: Iterable[int], envelope: str) -> Part:
    return {str(status): {"$ref": f"#/components/responses/{envelope}{status}"} for status in statuses}


def _error_responses() -> Part:
    found = {}
    for name, shapes in _SHAPES.items():
        choices = [{"$ref": f"#/components/schemas/{shape}"} for shape in shapes]
        content = {"application/json": {"schema": choices[0] if len(choices) == 1 else {"anyOf": choices}}}
        for status, description in _ERRORS.items():
            found[f"{name}{status}"] = {"description": description, "content": content}
    return found
