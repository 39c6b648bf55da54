"""Usage is asked for in every stream, and shown to those who asked."""

import json

import aiohttp
import pytest
from fixtures.stub_engine import SSE, Call, StubEngine

from freehold.serve.gateway.hiding import UsageHider

CHAT = "/v1/chat/completions"
STREAM = {"model": "tiny", "stream": True}
TEXT = b'data: {"choices":[{"delta":{"content":"the \\"usage\\": {} of"}}]}'
USAGE = b'data: {"id":"1","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}'
NULL = b'data: {"id":"1","choices":[{"delta":{"content":"a"}}],"usage":null}'
LAST_CHOICE = b'data: {"choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":3}}'
DONE = b"data: [DONE]"


def _hidden(stream: bytes, piece: int) -> bytes:
    hider = UsageHider()
    passed = [hider.pass_on(stream[at : at + piece]) for at in range(0, len(stream), piece)]
    return b"".join(passed) + hider.rest()


@pytest.mark.parametrize("gap", [b"\n\n", b"\r\n\r\n"])
@pytest.mark.parametrize("piece", [1, 2, 3, 7, 50, 100_000])
@pytest.mark.parametrize(
    ("events", "shown"),
    [
        ([TEXT, USAGE, DONE], [TEXT, DONE]),
        ([TEXT, DONE], [TEXT, DONE]),
        ([NULL, USAGE, DONE], [b'data: {"id":"1","choices":[{"delta":{"content":"a"}}]}', DONE]),
        ([LAST_CHOICE, DONE], [b'data: {"choices":[{"finish_reason":"stop"}]}', DONE]),
        ([b": usage follows", USAGE], [b": usage follows"]),
        ([b'data: {"usage": torn'], [b'data: {"usage": torn']),
        ([b'data: "usage"'], [b'data: "usage"']),
    ],
)
def test_only_usage_is_left_out(events: list[bytes], shown: list[bytes], piece: int, gap: bytes) -> None:
    stream = gap.join([*events, b""])
    assert _hidden(stream, piece) == gap.join([*shown, b""])


def test_a_long_event_is_not_held_back() -> None:
    hider = UsageHider()
    start = b"data: " + b"x" * 100_000
    assert hider.pass_on(start) == start
    assert hider.pass_on(b"y\n\n") == b"y\n\n"


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        (None, {"include_usage": True}),
        ({}, {"include_usage": True}),
        ({"include_usage": False}, {"include_usage": True}),
        (
            {"include_usage": False, "continuous_usage_stats": True},
            {"include_usage": True, "continuous_usage_stats": False},
        ),
        ({"new": 1}, {"include_usage": True, "new": 1}),
    ],
)
async def test_who_does_not_ask_is_metered_and_shown_none(
    options: object, sent: object, client: aiohttp.ClientSession, engine: StubEngine
) -> None:
    async with client.post(CHAT, json=STREAM | ({} if options is None else {"stream_options": options})) as answer:
        body = await answer.read()
    assert engine.calls[0].json["stream_options"] == sent
    assert b"usage" not in body
    assert body.count(b"data: ") == 3
    async with client.get("/metrics") as answer:
        assert 'freehold_completion_tokens_total{model="tiny"} 2.0' in await answer.text()


@pytest.mark.parametrize("options", [{"include_usage": True}, "wrong", [1]])
async def test_who_asks_gets_it_and_what_is_wrong_is_the_engines_to_refuse(
    options: object, client: aiohttp.ClientSession, engine: StubEngine
) -> None:
    async def refuse_or_stream(call: Call) -> None:
        await call.start(content_type=SSE)
        await call.chunk(USAGE + b"\n\n")
        await call.end()

    engine.answer = refuse_or_stream
    async with client.post(CHAT, json=STREAM | {"stream_options": options}) as answer:
        assert await answer.read() == USAGE + b"\n\n"
    assert engine.calls[0].json["stream_options"] == options


@pytest.mark.parametrize("stream", [True, 1, "true", "on"])
async def test_whatever_the_engine_takes_for_true_is_a_stream(
    stream: object, client: aiohttp.ClientSession, engine: StubEngine
) -> None:
    async with client.post(CHAT, json={"model": "tiny", "stream": stream}) as answer:
        await answer.read()
    assert engine.calls[0].json["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/responses", "/v1/embeddings"])
async def test_other_apis_tell_usage_by_themselves(
    path: str, client: aiohttp.ClientSession, engine: StubEngine
) -> None:
    body = json.dumps(STREAM).encode()
    async with client.post(path, data=body) as answer:
        await answer.read()
    assert engine.calls[0].body == body
