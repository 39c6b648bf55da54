"""Whatever is sent to a running gateway, it answers as documented and nothing breaks inside.

Every operation of its own OpenAPI document gets data that fits and data that does not, and the port gets mutilated
requests. The runs are the same each time; `FUZZ_EXAMPLES=500` makes a longer one that is not.
"""

import functools
import http.client
import json
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from fixtures.governed_gateway import ADMIN_KEY, NAMES, GovernedGateway, governed_gateway
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, CheckContext, GenerationMode, Response
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from freehold.serve.gateway.endpoints import ENDPOINTS, BodyFormat
from freehold.serve.gateway.parameters import rules
from freehold.serve.openapi_reference import openapi_reference
from freehold.serve.state.key_fields import NewKey

pytestmark = pytest.mark.slow

schemathesis_document = schemathesis.openapi.from_dict(json.loads(openapi_reference()))
OPERATIONS = {
    found.ok().definition.raw["operationId"]: found.ok() for found in schemathesis_document.get_all_operations()
}
CASES = [
    pytest.param(name, mode, id=f"{name}-{mode}")
    for name, operation in OPERATIONS.items()
    for mode in GenerationMode
    if mode is GenerationMode.POSITIVE or operation.body or operation.query or operation.path_parameters
]

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "20"))
"""Of each operation, for data that fits and again for data that does not."""

MOST_LINE_BYTES = 16_384

steady = functools.partial(
    settings,
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
)


class House:
    """A running gateway, some keys, and a connection to it that stays open."""

    def __init__(self, gateway: GovernedGateway) -> None:
        self.gateway = gateway
        self.session = requests.Session()
        self.session.trust_env = False
        self.admin = {"authorization": f"Bearer {ADMIN_KEY}"}
        limits = {"requests_per_minute": 10**12, "tokens_per_minute": 10**12, "monthly_money": 10**6}
        self.app = {"authorization": f"Bearer {self._key(**limits, may_tune=True)['key']}"}
        self.poor = {"x-api-key": self._key(monthly_tokens=1)["key"]}
        self.thrifty = {"x-api-key": self._key(tokens_per_minute=10**7, monthly_money=10**6)["key"]}
        self.key_ids = [self._key()["id"] for _ in range(3)]

    def _key(self, **fields: Any) -> dict[str, Any]:
        body = {"name": "fuzz", **fields}
        answer = self.session.post(f"{self.gateway.url}/admin/v1/keys", json=body, headers=self.admin)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    def assert_sound(self) -> None:
        faults, self.gateway.faults.found = self.gateway.faults.found, []
        assert not faults, "\n".join(faults)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with governed_gateway(tmp_path_factory.mktemp("governed")) as gateway:
        house = House(gateway)
        yield house
        house.session.close()
    house.assert_sound()


def is_enveloped(ctx: CheckContext, response: Response, case: Case) -> None:
    """An error has the form that clients of its path understand; no request makes the gateway fail."""
    if response.status_code < 400:
        return
    assert response.status_code < 500, response.text
    assert response.headers["content-type"] == ["application/json"], response.headers
    body = response.json()
    error = body["error"]
    if case.path.startswith("/v1/messages"):
        assert body.keys() == {"type", "error"} and error.keys() == {"type", "message"}, body
    elif "anthropic-version" not in case.headers:
        assert body.keys() == {"error"} and error.keys() == {"message", "type", "param", "code"}, body
        assert isinstance(error["code"], str) and error["code"], body
    assert isinstance(error["message"], str) and error["message"], body
    assert isinstance(error["type"], str) and error["type"], body


CHECKS = [is_enveloped, status_code_conformance, content_type_conformance, response_schema_conformance]


def aim(case: Case, data: st.DataObject, house: House) -> dict[str, str]:
    """Let most requests name something that exists; headers with a key, for most of them one that may."""
    names_a_model = isinstance(case.body, dict) and not case.path.startswith("/admin/")
    if names_a_model and data.draw(st.integers(0, 4), label="names one that exists"):
        case.body["model"] = data.draw(st.sampled_from(NAMES), label="model")
    if "key_id" in case.path_parameters and data.draw(st.booleans(), label="names a key"):
        case.path_parameters["key_id"] = data.draw(st.sampled_from(house.key_ids), label="key")
    right = house.admin if case.path.startswith("/admin/") else house.app
    wrong = [house.app, house.poor, {"authorization": "Bearer fh-wrong"}, {"x-api-key": ""}]
    return data.draw(st.sampled_from([*[right] * 8, *wrong]), label="key")


@pytest.mark.parametrize(("name", "mode"), CASES)
def test_every_operation_answers_as_documented(name: str, mode: GenerationMode, house: House) -> None:
    operation = OPERATIONS[name]
    checks = [*CHECKS]
    if mode is GenerationMode.NEGATIVE and operation.path.startswith("/admin/"):
        checks.append(negative_data_rejection)

    @steady(max_examples=EXAMPLES)
    @given(case=operation.as_strategy(generation_mode=mode), data=st.data())
    def run(case: Case, data: st.DataObject) -> None:
        key = aim(case, data, house)
        response = case.call(base_url=house.gateway.url, session=house.session, headers=key)
        if response.status_code == 414:  # a list that no request line holds comes to no page
            assert len(str(response.request.url)) > MOST_LINE_BYTES - 1000
            return
        case.validate_response(response, checks=checks)

    run()
    house.assert_sound()


# -- JSON ----------------------------------------------------------------------------------------------------------

ODD = [
    *("null", "true", "0", "-1", "1.5", "1e999", "-0", "NaN", "9" * 400, "9" * 5000, "1e-400", '""', '"a"', "[]", "{}"),
    *(
        '"\\ud800"',
        '"\\u0000"',
        '"http://["',
        '"http://127.0.0.1/x"',
        '"data:image/png;base64,!"',
        "[" * 1100 + "]" * 1100,
    ),
    *('"0001-01-01T00:00+14:00"', '"9999-12-31T23:59-14:00"', '"36500d"', '"1e999999999"', '"' + "x" * 300 + '"'),
]
"""Values at the edge of what JSON, Python and the databases can hold."""


def field_names() -> list[str]:
    """Every field that the gateway or an engine gives a meaning, at the top or further down."""
    found: set[str] = {"type", "url", "image_url", "source", "\\ud800", "model"}
    for rule in [rule for path in rules().values() for rule in path]:
        found.update(step for step in rule.steps if step != "[]")
    for operation in OPERATIONS.values():
        for media in operation.definition.raw.get("requestBody", {}).get("content", {}).values():
            found.update(media["schema"].get("properties", ()))
    return sorted(found | NewKey.model_fields.keys())


def nested(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    members = st.lists(st.tuples(st.sampled_from(field_names()), inner), max_size=3)
    objects = members.map(lambda pairs: "{" + ",".join(f'"{name}":{value}' for name, value in pairs) + "}")
    return objects | st.lists(inner, max_size=3).map(lambda items: "[" + ",".join(items) + "]")


READ_HERE = ["user", "n", "best_of", "max_tokens", "max_completion_tokens", "stream", "stream_options", "prompt"]
"""Fields that the gateway itself acts upon."""

VALUES = st.recursive(st.sampled_from(ODD), nested, max_leaves=8)
FIELDS = st.lists(
    st.tuples(st.sampled_from(READ_HERE) | st.sampled_from(field_names()), st.sampled_from(ODD) | VALUES), max_size=5
)
JSON_POSTS = [path for path, endpoint in ENDPOINTS.items() if endpoint.body_format is BodyFormat.JSON]


def test_no_json_makes_it_fail(house: House) -> None:
    """Texts, since a library would not write most of these."""

    @steady(max_examples=40 * EXAMPLES)
    @given(
        path=st.sampled_from([*JSON_POSTS, "/admin/v1/keys"]),
        model=st.sampled_from(NAMES),
        key=st.sampled_from(["app", "poor", "thrifty"]),
        fields=FIELDS,
    )
    def run(path: str, model: str, key: str, fields: list[tuple[str, str]]) -> None:
        is_admin = path.startswith("/admin/")
        fields = [("name", '"x"') if is_admin else ("model", f'"{model}"'), *fields]
        body = "{" + ",".join(f'"{name}":{value}' for name, value in fields) + "}"
        headers = {"content-type": "application/json", **(house.admin if is_admin else getattr(house, key))}
        answer = house.session.post(house.gateway.url + path, data=body.encode(), headers=headers)
        assert answer.status_code < 500, answer.text
        assert answer.status_code < 400 or answer.json()["error"]["message"]
        house.assert_sound()

    run()


def test_no_query_makes_an_administrators_page_fail(house: House) -> None:
    odd = ["", "0", "7d", "999999w", "key,day", "day", "csv", "%00", "%ff", "%ED%A0%80", "%F0%9F%90%88", "9" * 5000]
    odd += ["0001-01-01T00:00%2B14:00", "9999-12-31T23:59-14:00", "9999-12-31", "0001-01-01", "..", "a" * 300]
    odd += ["ffffffff-ffff-7fff-bfff-ffffffffffff", "00000000-0000-7000-8000-000000000000", house.key_ids[0]]
    pages = {
        "usage": ["by", "since", "until", "format", "key", "team", "model"],
        "keys": ["limit", "after", "team", "include_revoked"],
        "recordings": ["route"],
        "recordings/export": ["route", "since", "until", "kind"],
        "keys/{}": ["x"],
        "recordings/{}": ["x"],
    }

    @steady(max_examples=40 * EXAMPLES)
    @given(page=st.sampled_from(sorted(pages)), data=st.data(), identifier=st.sampled_from(odd))
    def run(page: str, data: st.DataObject, identifier: str) -> None:
        query = data.draw(st.lists(st.tuples(st.sampled_from(pages[page]), st.sampled_from(odd)), max_size=3))
        target = f"/admin/v1/{page.format(identifier)}?" + "&".join(f"{name}={value}" for name, value in query)
        answer = house.session.get(house.gateway.url + target, headers=house.admin)
        assert answer.status_code < 500, answer.text
        assert answer.status_code < 400 or answer.json()["error"]["message"]
        house.assert_sound()

    run()


# -- bytes ---------------------------------------------------------------------------------------------------------

FORM = (
    b'--b\r\ncontent-disposition: form-data; name="model"\r\n\r\ntiny\r\n'
    b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF\r\n--b--\r\n'
)
STREAM = (
    b'{"model": "split", "stream": true, "user": "u", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}'
)
SPECIAL = [
    *(b"\r\n", b"\n", b"\r\n\r\n", b"\0", b"\xff\xfe", b"\\ud800", b"%00", b" ", b"\t", b":", b";", b",", b"9" * 30),
    *(b"transfer-encoding: chunked\r\n", b"content-length: 7\r\n", b"connection: close\r\n", b"upgrade: h2c\r\n"),
    *(
        b"expect: 100-continue\r\n",
        b"0\r\n\r\n",
        b"ffffffffffffffff\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"{" * 2000,
    ),
]


def request(method: bytes, path: bytes, body: bytes = b"", *headers: bytes) -> bytes:
    """With the place of a key marked."""
    lines = [method + b" " + path + b" HTTP/1.1", b"host: gateway", b"authorization: Bearer KEY", *headers]
    if not any(line.startswith(b"transfer-encoding") for line in headers):
        lines.append(b"content-length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


JSON = b"content-type: application/json"
HONEST = [
    request(b"GET", b"/v1/models"),
    request(b"GET", b"/admin/v1/usage?by=team,model&since=7d"),
    request(b"POST", b"/v1/chat/completions", b'{"model": "tiny", "n": 1, "image_url": "data:x"}', JSON),
    request(b"POST", b"/v1/chat/completions", STREAM, JSON, b"x-request-id: mine"),
    request(b"POST", b"/v1/messages", b'{"model":"recorded","max_tokens":3}', JSON, b"anthropic-version: 2023-06-01"),
    request(b"POST", b"/v1/audio/transcriptions", FORM, b"content-type: multipart/form-data; boundary=b"),
    request(
        b"POST", b"/v1/embeddings", b'10\r\n{"model":"tiny"}\r\n0\r\nx: y\r\n\r\n', JSON, b"transfer-encoding: chunked"
    ),
    request(b"POST", b"/admin/v1/keys", b'{"name": "chat", "expires": "90d", "monthly_money": 1.5}', JSON),
    request(b"GET", b"/v1/models") * 3,
]


@st.composite
def mutilated(draw: st.DrawFn) -> bytes:
    """An honest request, or several, with a few wounds."""
    data = bytearray(b"".join(draw(st.lists(st.sampled_from(HONEST), min_size=1, max_size=3))))
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.sampled_from([0, 1, 2, 8, 64, 1000])))
        match draw(st.sampled_from(["cut", "insert", "replace", "repeat", "move"])):
            case "cut":
                del data[start:end]
            case "insert":
                data[start:start] = draw(st.sampled_from(SPECIAL) | st.binary(max_size=20))
            case "replace":
                data[start:end] = draw(st.sampled_from(SPECIAL) | st.binary(min_size=1, max_size=20))
            case "repeat":
                data[start:start] = data[start:end] * draw(st.sampled_from([1, 5, 50]))
            case "move":
                piece = data[start:end]
                del data[start:end]
                place = draw(st.integers(0, len(data)))
                data[place:place] = piece
    return bytes(data)


def test_no_bytes_disturb_others(house: House) -> None:
    bystander = http.client.HTTPConnection("127.0.0.1", house.gateway.port, timeout=30)
    bystander.connect()
    held = bystander.sock

    @steady(max_examples=12 * EXAMPLES)
    @given(data=mutilated(), cuts=st.lists(st.integers(0, 2000), max_size=3), key=st.sampled_from(["app", "admin"]))
    def run(data: bytes, cuts: list[int], key: str) -> None:
        data = data.replace(b"Bearer KEY", getattr(house, key)["authorization"].encode())
        with socket.create_connection(("127.0.0.1", house.gateway.port), timeout=30) as attacker:
            received = b""
            try:
                places = sorted({0, *(place for place in cuts if place < len(data))})
                for start, end in zip(places, [*places[1:], len(data)], strict=True):
                    attacker.sendall(data[start:end])
                bystander.request("POST", "/v1/chat/completions", b'{"model":"tiny"}', {**house.app})
                answer = bystander.getresponse()
                assert (answer.status, json.loads(answer.read())["count"]) == (200, 3)
                assert bystander.sock is held, "its connection was closed"
                attacker.shutdown(socket.SHUT_WR)
                while piece := attacker.recv(65536):
                    received += piece
            except (BrokenPipeError, ConnectionResetError):
                pass  # what was refused is read no further
        assert received[:7] in (b"", b"HTTP/1."), received
        assert b"HTTP/1.1 5" not in received, received
        house.assert_sound()

    run()
    bystander.close()
