"""What the gateway says of its own API."""

import json
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from freehold.serve.gateway.endpoints import ENDPOINTS, RESPONSES_PREFIX, BodyFormat
from freehold.serve.openapi_reference import openapi_reference

Document = dict[str, Any]


@pytest.fixture(scope="module")
def reference() -> Document:
    """Of a gateway with everything that a gateway can have."""
    document: Document = json.loads(openapi_reference())
    return document


def operations(document: Document) -> Iterator[tuple[str, Document]]:
    """Path and operation."""
    for path, by_method in document["paths"].items():
        for operation in by_method.values():
            yield path, operation


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_it_describes_exactly_what_is_relayed(reference: Document) -> None:
    of_engines = {path for path, operation in operations(reference) if operation["tags"] == ["inference"]}
    stored = {path for path in of_engines if path.startswith(RESPONSES_PREFIX)}
    assert of_engines - stored == ENDPOINTS.keys()
    assert stored == {"/v1/responses/{response_id}", "/v1/responses/{response_id}/cancel"}


def test_a_relayed_request_needs_a_model_and_may_have_anything_else(reference: Document) -> None:
    for path, endpoint in ENDPOINTS.items():
        form = "multipart/form-data" if endpoint.body_format is BodyFormat.MULTIPART else "application/json"
        ((media_type, content),) = reference["paths"][path]["post"]["requestBody"]["content"].items()
        assert media_type == form, path
        schema = content["schema"]
        assert (schema["required"], schema["additionalProperties"]) == (["model"], True), path


def test_operations_have_names_of_their_own(reference: Document) -> None:
    names = [operation["operationId"] for _, operation in operations(reference)]
    assert len(set(names)) == len(names)
    assert {"create_key", "report_usage", "create_chat_completion"} <= set(names)


def test_what_is_not_for_everybody_says_which_key_it_takes(reference: Document) -> None:
    schemes = reference["components"]["securitySchemes"].keys()
    for path, operation in operations(reference):
        asked = {name for choice in operation.get("security", ()) for name in choice}
        is_open = path in ("/health", "/ready", "/metrics", "/openapi.json")
        assert asked == (set() if is_open else schemes), path
        assert is_open or {"401", "503"} <= operation["responses"].keys(), path


def test_refusals_are_described_as_they_are_sent(reference: Document) -> None:
    assert not [path for path, operation in operations(reference) if "422" in operation["responses"]]
    refusal = reference["paths"]["/v1/messages"]["post"]["responses"]["429"]["$ref"]
    schema = reference["components"]["responses"][refusal.rpartition("/")[2]]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/AnthropicError"}


def test_nothing_is_referred_to_that_is_not_there(reference: Document) -> None:
    found = set(references(reference))
    assert found
    for name in found:
        place: Any = reference
        for step in name.removeprefix("#/").split("/"):
            assert step in place, name
            place = place[step]


async def test_a_gateway_shows_what_it_has(client: aiohttp.ClientSession, reference: Document) -> None:
    async with client.get("/openapi.json") as answer:
        assert answer.status == 200
        document = await answer.json()
    owned = ("/admin/", "/v1/files", "/v1/fine_tuning/", "/v1/batches")
    absent = {path for path in reference["paths"] if path.startswith(owned)}
    assert len(absent) > 10
    assert document["paths"] == {path: reference["paths"][path] for path in reference["paths"].keys() - absent}
