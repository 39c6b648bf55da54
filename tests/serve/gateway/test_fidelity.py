"""What the client and the engine say to each other arrives as it was said."""

import asyncio
import functools
import gzip
import json
import uuid

import aiohttp
import pytest
from fixtures.stub_engine import SSE, Call, StubEngine

from freehold.serve.gateway import GatewayServer

CHAT = "/v1/chat/completions"
TINY = {"model": "tiny"}
STREAM = {"model": "tiny", "stream": True}


async def test_unknown_request_fields_and_headers_reach_the_engine(
    client: aiohttp.ClientSession, engine: StubEngine
) -> None:
    body = b'{"model":"tiny","from_the_future":{"a":[1,null]},"model_":1}'
    headers = {
        "traceparent": "00-ab-cd-01",
        "X-Request-Id": "r1",
        "User-Agent": "my-app/1",
        "Accept": "x/y",
        "X-Name": "plain",
    }
    async with client.post(CHAT, data=body, headers={**headers, "Content-Type": "application/json"}) as answer:
        assert answer.status == 200
    [call] = engine.calls
    assert call.body == body
    for name, value in headers.items():
        assert call.header(name.lower()) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Authorization", "Bearer the-gateways"),
        ("X-Api-Key", "the-gateways"),
        ("Cookie", "session=the-gateways"),
        ("Proxy-Authorization", "Basic eA=="),
        ("TE", "trailers"),
        ("X-Mine", "named by connection"),
    ],
)
async def test_credentials_and_the_connections_own_headers_stay_here(
    name: str, value: str, client: aiohttp.ClientSession, engine: StubEngine
) -> None:
    headers = {name: value, "Connection": "keep-alive, X-Mine", "X-Kept": "1"}
    async with client.post(CHAT, json=TINY, headers=headers) as answer:
        assert answer.status == 200
    [call] = engine.calls
    assert call.header(name.lower()) is None
    assert call.header("x-kept") == "1"


async def test_the_engines_own_headers_are_added(client: aiohttp.ClientSession, engine: StubEngine) -> None:
    engine.headers = {"Authorization": "Bearer the-engines", "X-Team": "a"}
    async with client.post(CHAT, json=TINY, headers={"Authorization": "Bearer mine", "X-Team": "b"}) as answer:
        assert answer.status == 200
    [call] = engine.calls
    assert [value for name, value in call.headers if name.lower() == "authorization"] == ["Bearer the-engines"]
    assert [value for name, value in call.headers if name.lower() == "x-team"] == ["a"]


async def test_a_header_in_any_encoding_passes_as_it_is(gateway: GatewayServer, engine: StubEngine) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(
        b"POST /v1/completions HTTP/1.1\r\nhost: x\r\nx-y: \xff\r\ncontent-length: 16\r\n\r\n" + b'{"model":"tiny"}'
    )
    assert b" 200 " in await reader.readline()
    writer.close()
    assert engine.calls[0].header("x-y") == "\xff"


async def test_a_secret_with_a_line_break_is_refused(client: aiohttp.ClientSession, engine: StubEngine) -> None:
    engine.headers = {"authorization": "Bearer x\r\nx-more: y"}
    async with client.post(CHAT, json=TINY) as answer:
        assert answer.status == 503
        assert "authorization has a line break" in (await answer.json())["error"]["message"]
    assert not engine.calls


async def test_the_answer_arrives_byte_for_byte(client: aiohttp.ClientSession, engine: StubEngine) -> None:
    body = (
        b'{ "choices":[{"message":{"content":"\\u00e9 \xc3\xa9","thoughts":[]}}],\n"new_field": 1e400, "usage": null }'
    )
    engine.answer = lambda call: call.reply(body, x_request_id="r1", set_cookie="a=b", keep_alive="timeout=5")
    async with client.post(CHAT, json=TINY) as answer:
        assert await answer.read() == body
        assert answer.headers["x-request-id"] == "r1"
        assert "keep-alive" not in answer.headers
        assert "server" not in answer.headers, "the gateway adds none of its own"


@pytest.mark.parametrize("fingerprint", ["", "fp-0123abc"])
async def test_the_answer_says_which_artifact_it_is_from(
    fingerprint: str, client: aiohttp.ClientSession, engine: StubEngine
) -> None:
    engine.fingerprint = fingerprint
    async with client.post(CHAT, json=STREAM) as answer:
        assert answer.headers.get("x-freehold-fingerprint", "") == fingerprint


@pytest.mark.parametrize(
    ("status", "more"),
    [
        (400, {}),
        (404, {}),
        (422, {}),
        (429, {"retry_after": "17", "x_ratelimit_remaining": "0"}),
        (500, {}),
        (503, {"retry_after": "3"}),
    ],
)
@pytest.mark.parametrize("request_body", [TINY, STREAM])
async def test_the_engines_errors_are_its_own_and_are_not_retried(
    status: int,
    more: dict[str, str],
    request_body: dict[str, object],
    client: aiohttp.ClientSession,
    engine: StubEngine,
) -> None:
    body = b'{"object":"error","message":"said by the engine","extra":1}'
    engine.answer = lambda call: call.reply(body, status=status, **more)
    for request_body in (TINY, STREAM):
        async with client.post(CHAT, json=request_body) as answer:
            assert (answer.status, await answer.read()) == (status, body)
            for name, value in more.items():
                assert answer.headers[name.replace("_", "-")] == value
    assert len(engine.calls) == 2


async def test_a_redirect_is_the_clients_to_follow(client: aiohttp.ClientSession, engine: StubEngine) -> None:
    engine.answer = lambda call: call.reply(b"", status=307, location="/elsewhere")
    async with client.post(CHAT, json=TINY, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["location"]) == (307, "/elsewhere")
    assert len(engine.calls) == 1


def _events(*events: bytes) -> bytes:
    return b"".join(event + b"\n\n" for event in events)


BIG = b"data: " + json.dumps({"choices": [{"delta": {"content": "é" * 50_000}}]}).encode()
STREAMS = {
    "comments": _events(b": keep-alive", b'data: {"a":1}', b": keep-alive", b"data: [DONE]"),
    "unknown fields": _events(b'id: 7\nretry: 10\nevent: new\ndata: {"delta":{"x":1},"usage":null}', b"data: [DONE]"),
    "error in the middle": _events(
        b'data: {"a":1}', b'data: {"error":{"message":"CUDA out of memory"}}', b"data: [DONE]"
    ),
    "usage once": _events(b'data: {"a":1}', b'data: {"usage":{"prompt_tokens":1}}', b"data: [DONE]"),
    "crlf": b'data: {"a":1}\r\n\r\ndata: [DONE]\r\n\r\n',
    "no done": _events(b'data: {"a":1}'),
    "a 300 KB event": _events(BIG, b"data: [DONE]"),
    "a burst of many events": _events(*(b'data: {"n":%d}' % number for number in range(3000)), b"data: [DONE]"),
    "nothing": b"",
}


ASKS = {"stream_options": {"include_usage": True}}


@pytest.mark.parametrize(
    ("name", "asked"),
    [*((name, STREAM | ASKS) for name in STREAMS), *((name, STREAM) for name in STREAMS if name != "usage once")],
)
async def test_a_stream_arrives_byte_for_byte(
    name: str, asked: dict[str, object], client: aiohttp.ClientSession, engine: StubEngine
) -> None:
    stream = STREAMS[name]
    smallest = 1 if len(stream) < 1000 else 997  # odd, so that it splits two-byte characters

    async def answer_stream(call: Call, piece: int) -> None:
        await call.start(content_type=SSE)
        for start in range(0, len(stream), piece):
            await call.chunk(stream[start : start + piece])
        await call.end()

    for piece in (smallest, 4099, 65536, 400_000):
        engine.answer = functools.partial(answer_stream, piece=piece)
        async with client.post(CHAT, json=asked) as answer:
            assert await answer.read() == stream
            assert answer.headers["content-type"] == SSE


async def test_headers_and_every_event_leave_at_once(client: aiohttp.ClientSession, engine: StubEngine) -> None:
    go = asyncio.Semaphore(0)

    async def step_by_step(call: Call) -> None:
        await call.start(content_type=SSE)
        for piece in (b"data: {", b'"a":1}', b"\n\n", b"data: [DONE]\n\n"):
            await go.acquire()
            await call.chunk(piece)
        await call.end()

    engine.answer = step_by_step
    async with asyncio.timeout(30), client.post(CHAT, json=STREAM | ASKS) as answer:
        assert answer.status == 200, "the headers came before the first byte of the first token"
        for piece in (b"data: {", b'"a":1}', b"\n\n"):
            go.release()
            assert await answer.content.readany() == piece
        go.release()
        assert await answer.read() == b"data: [DONE]\n\n"


async def test_a_stream_is_never_compressed(client: aiohttp.ClientSession, engine: StubEngine) -> None:
    async with client.post(CHAT, json=STREAM, headers={"Accept-Encoding": "gzip, br"}) as answer:
        assert "content-encoding" not in answer.headers
        assert (await answer.read()).endswith(b"data: [DONE]\n\n")
    assert engine.calls[0].header("accept-encoding") == "identity"


async def test_what_an_engine_compresses_all_the_same_stays_compressed(
    client: aiohttp.ClientSession, engine: StubEngine
) -> None:
    body = gzip.compress(b'{"a":1}')
    engine.answer = lambda call: call.reply(body, content_encoding="gzip")
    async with client.post(CHAT, json=TINY) as answer:
        assert (answer.headers["content-encoding"], await answer.read()) == ("gzip", body)


@pytest.mark.parametrize("declared", [True, False])
async def test_a_large_answer_arrives_whole(declared: bool, client: aiohttp.ClientSession, engine: StubEngine) -> None:
    body = b'{"data":"' + b"0123456789abcdef" * 600_000 + b'"}'

    async def answer_large(call: Call) -> None:
        if declared:
            await call.reply(body)
            return
        await call.start(content_type="application/json")
        for start in range(0, len(body), 1_000_000):
            await call.chunk(body[start : start + 1_000_000])
        await call.end()

    engine.answer = answer_large
    async with client.post("/v1/embeddings", json=TINY) as answer:
        assert await answer.read() == body


async def test_many_at_once_are_not_mixed_up(client: aiohttp.ClientSession, engine: StubEngine) -> None:
    async def echo(call: Call) -> None:
        await call.start(content_type=SSE)
        for _ in range(3):
            await call.chunk(f"data: {call.json['user']}\n\n".encode())
            await asyncio.sleep(0.001)
        await call.end()

    engine.answer = echo

    async def ask() -> None:
        user = uuid.uuid4().hex
        async with client.post(CHAT, json={**STREAM, "user": user}) as answer:
            assert await answer.text() == f"data: {user}\n\n" * 3

    await asyncio.gather(*(ask() for _ in range(64)))
