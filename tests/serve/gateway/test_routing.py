"""Requests reach the engine that they name, and those that can't be are refused with a reason."""

import io
import json

import aiohttp
import pytest
from fixtures.stub_engine import StubEngine

from freehold.serve.engines.engine import EngineState
from freehold.serve.gateway.endpoints import ENDPOINTS, BodyFormat

JSON_PATHS = [path for path, endpoint in ENDPOINTS.items() if endpoint.body_format is BodyFormat.JSON]
FORM_PATHS = [path for path, endpoint in ENDPOINTS.items() if endpoint.body_format is BodyFormat.MULTIPART]
CHAT = "/v1/chat/completions"


@pytest.mark.parametrize("path", JSON_PATHS)
async def test_a_json_body_goes_to_its_model(
    path: str, client: aiohttp.ClientSession, engine: StubEngine, other: StubEngine
) -> None:
    body = b'{ "input": "hi",\n "model" :"org\\/other", "x": 1.50 }'
    async with client.post(path + "?q=a%20b", data=body) as answer:
        assert answer.status == 200
    assert not engine.calls
    [call] = other.calls
    assert (call.method, call.target, call.body) == ("POST", path + "?q=a%20b", body)


@pytest.mark.parametrize("path", FORM_PATHS)
async def test_a_form_goes_to_its_model(path: str, client: aiohttp.ClientSession, engine: StubEngine) -> None:
    form = aiohttp.FormData()
    form.add_field("file", b"\r\n--not a boundary\r\n" + bytes(range(256)) * 1000, filename="a.wav")
    form.add_field("model", "tiny")
    engine.answer = lambda call: call.reply(b'{"text":"hi"}')
    async with client.post(path, data=form) as answer:
        assert (answer.status, await answer.text()) == (200, '{"text":"hi"}')
    [call] = engine.calls
    assert call.body.count(bytes(range(256))) == 1000
    assert (call.header("content-type") or "").startswith("multipart/form-data; boundary=")


async def test_only_the_model_is_rewritten_for_an_engine_with_a_name_of_its_own(
    client: aiohttp.ClientSession, engine: StubEngine
) -> None:
    engine.upstream_model = 'wörld"/x'
    body = '{"a": {"model": "tiny"}, "n": 1e400, "model" : "tiny" , "é": "\\u00e9"}'
    async with client.post(CHAT, data=body.encode()) as answer:
        assert answer.status == 200
    [call] = engine.calls
    assert call.body.decode() == body.replace('"model" : "tiny"', '"model" : "w\\u00f6rld\\"/x"')


async def test_a_form_is_rewritten_in_place(client: aiohttp.ClientSession, engine: StubEngine) -> None:
    engine.upstream_model = "whisper"
    engine.answer = lambda call: call.reply(b"{}")
    boundary = "multipart/form-data; boundary=xx"
    body = b'--xx\r\nContent-Disposition: form-data; name="model"\r\n\r\ntiny\r\n--xx--\r\n'
    async with client.post("/v1/audio/transcriptions", data=body, headers={"content-type": boundary}) as answer:
        assert answer.status == 200
    assert engine.calls[0].body == body.replace(b"tiny", b"whisper")


async def test_an_unknown_model_is_a_404_that_lists_the_known(client: aiohttp.ClientSession) -> None:
    async with client.post(CHAT, json={"model": "gpt-9"}) as answer:
        assert answer.status == 404
        assert await answer.json() == {
            "error": {
                "message": "The model 'gpt-9' does not exist. "
                "Models: tiny, org/other; a route can lead this name to one of them.",
                "type": "invalid_request_error",
                "param": "model",
                "code": "model_not_found",
            }
        }


async def test_messages_get_anthropics_envelope(client: aiohttp.ClientSession) -> None:
    async with client.post("/v1/messages", json={"model": "gpt-9"}) as answer:
        assert answer.status == 404
        error = await answer.json()
    assert (error["type"], error["error"]["type"]) == ("error", "not_found_error")
    assert "gpt-9" in error["error"]["message"]


@pytest.mark.parametrize("state", [state for state in EngineState if state is not EngineState.READY])
async def test_a_model_that_is_not_ready_is_a_503_with_its_state(
    state: EngineState, client: aiohttp.ClientSession, engine: StubEngine
) -> None:
    engine.state, engine.detail = state, "loading weights, 40 %"
    async with client.post(CHAT, json={"model": "tiny"}) as answer:
        assert answer.status == 503
        assert int(answer.headers["retry-after"]) > 0
        message = (await answer.json())["error"]["message"]
    assert message == f"The model 'tiny' is not ready: {state}, loading weights, 40 %"
    assert not engine.calls


@pytest.mark.parametrize(
    ("body", "code", "says"),
    [
        (b'{"model": "tiny",\n "x": }', "invalid_json", "Expecting value at line 2, column 7 (character 24)"),
        (b"", "invalid_json", "Expecting value at line 1, column 1"),
        (b'{"model": "tiny\xff"}', "invalid_json", "invalid UTF-8 at byte 15"),
        (b"[" * 100_000, "invalid_json", "nested too deeply"),
        (b"1" * 5000, "invalid_json", "Exceeds the limit"),
        (b'["model"]', "invalid_body", "it is an array"),
        (b"null", "invalid_body", "it is null"),
        (b"7", "invalid_body", "it is a number"),
        (b"{}", "missing_model", "no field 'model' at its top level"),
        (b'{"model": null}', "invalid_model", "it is null"),
        (b'{"model": true}', "invalid_model", "it is a boolean"),
        (b'{"model": {"id": 1}}', "invalid_model", "it is an object"),
        (b'{"model": ""}', "invalid_model", "it is empty"),
    ],
)
async def test_a_bad_json_body_is_a_400_that_says_where(
    body: bytes, code: str, says: str, client: aiohttp.ClientSession
) -> None:
    async with client.post(CHAT, data=body) as answer:
        assert answer.status == 400
        error = (await answer.json())["error"]
    assert (error["code"], error["type"]) == (code, "invalid_request_error")
    assert says in error["message"]


def _field(name: str, value: bytes) -> bytes:
    return f'--xx\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + value


FORM = "multipart/form-data; boundary=xx"


@pytest.mark.parametrize(
    ("body", "content_type", "code", "says"),
    [
        (b"{}", "application/json", "invalid_body", "expected, got application/json"),
        (b"nothing", FORM, "invalid_form", "does not occur"),
        (_field("model", b"tiny"), FORM, "invalid_form", "the part at byte 0 does not end"),
        (b"--xx\r\nno headers\r\n--xx--", FORM, "invalid_form", "no end of headers"),
        (_field("file", b"t\r\n--xx--"), 'multipart/form-data; boundary="xx"', "missing_model", "no field 'model'"),
        (_field("model", b"\r\n--xx--"), FORM, "missing_model", "is empty"),
        (_field("model", b"\xff\r\n--xx--"), FORM, "invalid_form", "not UTF-8"),
    ],
)
async def test_a_bad_form_is_a_400_that_says_where(
    body: bytes, content_type: str, code: str, says: str, client: aiohttp.ClientSession
) -> None:
    headers = {"content-type": content_type}
    async with client.post("/v1/audio/transcriptions", data=body, headers=headers) as answer:
        assert answer.status == 400
        error = (await answer.json())["error"]
    assert error["code"] == code
    assert says in error["message"]


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_past_the_limit_is_a_400(declared: bool, serve, engine: StubEngine) -> None:  # type: ignore[no-untyped-def]
    server = await serve(engine, max_body_bytes=100_000)
    body = json.dumps({"model": "tiny", "x": "y" * 100_000}).encode()

    async def pieces():  # type: ignore[no-untyped-def]
        for start in range(0, len(body), 10_000):
            yield body[start : start + 10_000]

    async with aiohttp.ClientSession() as session:
        for data in (body if declared else pieces(), b'{"model":"tiny"}'):
            async with session.post(server.url + CHAT, data=data) as answer:
                status, text = answer.status, await answer.text()
            if data == b'{"model":"tiny"}':
                assert status == 200, "the connection goes on after a refusal"
            else:
                assert (status, json.loads(text)["error"]["code"]) == (400, "body_too_large")
                assert "100000 bytes (gateway.maxBodyBytes)" in text
    assert len(engine.calls) == 1


async def test_a_12_mb_body_passes(client: aiohttp.ClientSession, engine: StubEngine) -> None:
    body = b'{"image": "' + b"QUJD" * 3_000_000 + b'", "model": "tiny"}'
    async with client.post(CHAT, data=io.BytesIO(body)) as answer:
        assert answer.status == 200
    assert engine.calls[0].body == body


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize(("path", "kind"), [(CHAT, "OPENAI"), ("/v1/messages", "ANTHROPIC")])
async def test_a_wrong_method_is_a_405(method: str, path: str, kind: str, client: aiohttp.ClientSession) -> None:
    async with client.request(method, path) as answer:
        assert (answer.status, answer.headers["allow"]) == (405, "POST")
        body = await answer.json()
    assert body["error"]["message"] == f"{method} is not allowed on {path}. Use POST."
    assert body.get("type") == ("error" if kind == "ANTHROPIC" else None)


@pytest.mark.parametrize("path", ["/", "/v1/chat/completions/", "/v1/nope", "/v1/responses/", "/v1/responses/a/b"])
async def test_an_unknown_path_is_a_404_envelope(path: str, client: aiohttp.ClientSession) -> None:
    async with client.post(path, json={"model": "tiny"}) as answer:
        assert answer.status == 404
        error = (await answer.json())["error"]
    assert error["code"] == "unknown_path"
    assert CHAT in error["message"]


async def test_a_stored_response_goes_to_the_engine_that_made_it(
    client: aiohttp.ClientSession, engine: StubEngine, other: StubEngine
) -> None:
    other.answer = lambda call: call.reply(b'{"id": "resp_1", "object": "response"}')
    async with client.post("/v1/responses", json={"model": "org/other", "input": "hi"}) as answer:
        assert answer.status == 200
    async with client.get("/v1/responses/resp_1?stream=false") as answer:
        assert answer.status == 200
    async with client.post("/v1/responses/resp_1/cancel") as answer:
        assert answer.status == 200
    assert [(call.method, call.target) for call in other.calls] == [
        ("POST", "/v1/responses"),
        ("GET", "/v1/responses/resp_1?stream=false"),
        ("POST", "/v1/responses/resp_1/cancel"),
    ]
    async with client.get("/v1/responses/resp_2") as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (404, "not_found")
    async with client.delete("/v1/responses/resp_1") as answer:
        assert answer.status == 405
    assert not engine.calls


async def test_a_lone_engine_is_asked_for_every_stored_response(serve, engine: StubEngine) -> None:  # type: ignore[no-untyped-def]
    server = await serve(engine)
    engine.answer = lambda call: call.reply(b'{"error": {"message": "not here"}}', status=404)
    async with aiohttp.ClientSession(server.url) as session, session.get("/v1/responses/resp_9") as answer:
        assert (answer.status, await answer.text()) == (404, '{"error": {"message": "not here"}}')
