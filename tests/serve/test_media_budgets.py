"""Images and sound under keys' limits and in the ledger: reserved by size before an engine sees them, settled by what
it tells; forms relayed as they came.
"""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import openai
import pytest
from fixtures.house import CHAT, House, answer_three, bearer, open_house
from fixtures.media import data_url, form, image, sound
from fixtures.stub_engine import SSE, Call

from freehold.serve.gateway import new_event_loop
from freehold.serve.gateway.winding import ABORT_PATH
from freehold.serve.senses import Modality, Senses
from freehold.serve.senses.images import Patches
from freehold.serve.senses.sounds import Sound

pytestmark = pytest.mark.slow


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], Any]]:
    return {"uvloop": new_event_loop}


Build = Callable[..., Any]
SEES = Senses(frozenset({Modality.IMAGE}), Patches(unit=32, min_pixels=1024, max_pixels=64 * 1024))
HEARS = Senses(frozenset({Modality.AUDIO}), sound=Sound(50, 30), heard=Sound(100, around=8))
SPEECH = "/v1/audio/transcriptions"
TEXT = "Own the model that you depend on."


@pytest.fixture
async def build(database_url: str) -> AsyncIterator[Build]:
    async with AsyncExitStack() as stack:

        async def start(**config: Any) -> House:
            return await open_house(stack, database_url, **config)

        yield start


async def hear(call: Call) -> None:
    """As vLLM's speech endpoints answer: seconds for a whole answer, tokens at the end of a stream if it is asked."""
    if b'name="stream"\r\n\r\ntrue' not in call.body:
        await call.reply(json.dumps({"text": TEXT, "usage": {"type": "duration", "seconds": 3}}).encode())
        return
    about = {"id": "t", "object": "transcription.chunk", "created": 1, "model": "tiny"}
    await call.start(content_type=SSE)
    for word in TEXT.split():
        await call.chunk(f"data: {json.dumps({**about, 'choices': [{'delta': {'content': word}}]})}\n\n".encode())
    if b'name="stream_include_usage"\r\n\r\ntrue' in call.body:
        usage = {"prompt_tokens": 304, "completion_tokens": 9, "total_tokens": 313}
        await call.chunk(f"data: {json.dumps({**about, 'choices': [], 'usage': usage})}\n\n".encode())
    await call.chunk(b"data: [DONE]\n\n")
    await call.end()


def counting(tokens: int) -> Any:
    """As a vLLM that counts so many for any prompt."""

    async def answer(call: Call) -> None:
        if call.target == "/tokenize":
            await call.reply(b'{"count":%d}' % tokens)
        else:
            await answer_three(call)

    return answer


async def post(house: House, secret: str, path: str, **given: Any) -> tuple[int, dict[str, Any]]:
    async with aiohttp.ClientSession(house.url, headers=bearer(secret)) as client:
        data, kind = given.pop("form", (None, None))
        headers = {"content-type": kind} if kind else {}
        data = io.BytesIO(data) if data is not None else None  # aiohttp warns of large bytes
        async with client.post(path, data=data, headers=headers, **given) as answer:
            return answer.status, await answer.json()


def picture(width: int, height: int) -> dict[str, Any]:
    url = data_url(image(width, height))
    content = [{"type": "text", "text": "?"}, {"type": "image_url", "image_url": {"url": url}}]
    return {"model": "tiny", "messages": [{"role": "user", "content": content}], "max_tokens": 10}


async def test_an_image_is_reserved_by_what_the_model_makes_of_it(build: Build) -> None:
    """The body is hundreds of bytes of text and 60 KB of base64; the image is 64 tokens at most."""
    house = await build()
    house.engines["tiny"].senses = SEES
    house.engines["tiny"].context_tokens = 100_000
    _, enough = await house.key(tokens_per_minute=600)
    status, _ = await post(house, enough, CHAT, json=picture(4000, 3000))
    assert status == 200
    (row,) = await house.usage()
    assert (row["prompt_tokens"], row["completion_tokens"]) == (7, 3), "settled by the engine's own count"
    assert [call.target for call in house.engines["tiny"].calls] == [CHAT], "nobody had to count"


async def test_of_an_unknown_model_the_engine_is_asked_to_count(build: Build) -> None:
    """An image may fill its context; where that is too much, what it says counts."""
    house = await build()
    engine = house.engines["tiny"]
    engine.context_tokens = 100_000
    _, secret = await house.key(tokens_per_minute=600)
    assert (await post(house, secret, CHAT, json=picture(4000, 3000)))[0] == 200
    assert [call.target for call in engine.calls] == ["/tokenize", CHAT]
    engine.answer = counting(5000)
    status, refused = await post(house, secret, CHAT, json=picture(4000, 3000))
    assert (status, refused["error"]["code"]) == (429, "rate_limit_exceeded")


async def test_a_large_image_is_refused_where_a_small_one_fits(build: Build) -> None:
    house = await build()
    house.engines["tiny"].senses = Senses(SEES.takes, Patches(unit=32, min_pixels=1024, max_pixels=2048 * 1024))
    house.engines["tiny"].context_tokens = 100_000
    house.engines["tiny"].answer = counting(2100)
    _, secret = await house.key(tokens_per_minute=900)
    assert (await post(house, secret, CHAT, json=picture(2048, 1024)))[0] == 429
    assert (await post(house, secret, CHAT, json=picture(64, 64)))[0] == 200


async def test_an_image_to_a_model_that_does_not_see_never_reaches_it(build: Build) -> None:
    house = await build()
    house.engines["tiny"].senses = Senses(frozenset())
    _, secret = await house.key()
    status, refused = await post(house, secret, CHAT, json=picture(64, 64))
    assert (status, refused["error"]["code"]) == (400, "modality_not_supported")
    assert refused["error"]["param"] == "messages[0].content[1].image_url.url"
    assert not house.engines["tiny"].calls


async def test_a_whole_transcription_is_seconds_and_estimated_tokens(build: Build) -> None:
    house = await build()
    engine = house.engines["tiny"]
    engine.senses, engine.answer, engine.context_tokens = HEARS, hear, 448
    _, secret = await house.key(tokens_per_minute=100_000)
    async with openai.AsyncOpenAI(base_url=f"{house.url}/v1", api_key=secret, max_retries=0) as client:
        told = await client.audio.transcriptions.create(model="tiny", file=("a.wav", sound(3)))
    assert told.text == TEXT
    (row,) = await house.usage()
    tokens = 308 + len(TEXT) // 4
    assert (row["audio_seconds"], row["prompt_tokens"], row["completion_tokens"]) == (3, 308, len(TEXT) // 4)
    assert row["estimated_tokens"] == tokens
    assert row["prompt_tokens"] + row["completion_tokens"] == tokens


async def test_a_streamed_transcription_tells_its_tokens_to_the_ledger_alone(build: Build) -> None:
    house = await build()
    engine = house.engines["tiny"]
    engine.senses, engine.answer, engine.context_tokens = HEARS, hear, 448
    _, secret = await house.key(tokens_per_minute=100_000)
    async with openai.AsyncOpenAI(base_url=f"{house.url}/v1", api_key=secret, max_retries=0) as client:
        stream = await client.audio.transcriptions.create(model="tiny", file=("a.wav", sound(3)), stream=True)
        events = [event.model_dump() async for event in stream]
        assert len(events) == len(TEXT.split()) and not any(event.get("usage") for event in events)
        asked = {"stream_include_usage": True}
        stream = await client.audio.transcriptions.create(
            model="tiny", file=("a.wav", sound(3)), stream=True, extra_body=asked
        )
        told = [event.model_dump().get("usage") async for event in stream]
    assert told[-1] == {"prompt_tokens": 304, "completion_tokens": 9, "total_tokens": 313}
    (row,) = await house.usage()
    assert (row["prompt_tokens"], row["completion_tokens"], row["audio_seconds"]) == (608, 18, 6)
    assert row["estimated_tokens"] == 0
    assert all(call.header("content-type").startswith("multipart/form-data") for call in engine.calls)


async def test_a_file_is_reserved_by_its_length_not_by_its_bytes(build: Build) -> None:
    """A minute of sound is 1.9 MB, and 6008 tokens by the rule, with two answers of 448 at most."""
    house = await build()
    engine = house.engines["tiny"]
    engine.senses, engine.answer, engine.context_tokens = HEARS, hear, 448
    minute = form({"model": "tiny"}, sound(60))
    _, enough = await house.key(tokens_per_minute=6008 + 2 * 448 + 1000)
    assert (await post(house, enough, SPEECH, form=minute))[0] == 200
    _, short = await house.key(tokens_per_minute=6000)
    status, refused = await post(house, short, SPEECH, form=minute)
    assert (status, refused["error"]["code"]) == (429, "rate_limit_exceeded")
    assert (await post(house, short, SPEECH, form=form({"model": "tiny"}, sound(3))))[0] == 200


@pytest.mark.parametrize(
    ("senses", "content", "status", "code"),
    [
        (SEES, b"RIFF", 400, "modality_not_supported"),
        (HEARS, sound(700, 1000), 400, "media_too_large"),
    ],
)
async def test_files_that_no_engine_should_see(
    build: Build, senses: Senses, content: bytes, status: int, code: str
) -> None:
    house = await build()
    house.engines["tiny"].senses = senses
    _, secret = await house.key()
    answered, refused = await post(house, secret, SPEECH, form=form({"model": "tiny"}, content))
    assert (answered, refused["error"]["code"], refused["error"]["param"]) == (status, code, "file")
    assert not house.engines["tiny"].calls


async def test_a_form_goes_to_a_route_and_keeps_every_other_byte(build: Build) -> None:
    house = await build(routes={"whisper-1": {"targets": {"tiny": 1}}})
    engine = house.engines["tiny"]
    engine.senses, engine.answer = HEARS, hear
    _, secret = await house.key(routes=["whisper-1"])
    body, kind = form({"model": "whisper-1", "language": "de", "prompt": "\r\n--b0\r\n"}, sound(1))
    assert (await post(house, secret, SPEECH, form=(body, kind)))[0] == 200
    assert engine.calls[-1].body == body.replace(b"whisper-1", b"tiny")
    status, refused = await post(house, secret, SPEECH, form=form({"model": "tiny"}, sound(1)))
    assert (status, refused["error"]["code"]) == (403, "model_not_allowed")


async def test_a_client_that_leaves_stops_every_window(build: Build) -> None:
    aborted: list[str] = []
    stopped = asyncio.Event()

    async def answer(call: Call) -> None:
        if call.target.encode() == ABORT_PATH:
            aborted.extend(call.json["request_ids"])
            stopped.set()
            await call.reply(b"")
            return
        await call.start(content_type=SSE)
        await call.chunk(b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n')
        await stopped.wait()
        usage = {"prompt_tokens": 6108, "completion_tokens": 5}
        await call.chunk(f"data: {json.dumps({'choices': [], 'usage': usage})}\n\ndata: [DONE]\n\n".encode())
        await call.end()

    house = await build()
    engine = house.engines["tiny"]
    engine.senses, engine.answer, engine.can_abort = HEARS, answer, True
    _, secret = await house.key()
    body, kind = form({"model": "tiny", "stream": "true"}, sound(61))
    async with (
        aiohttp.ClientSession(house.url, headers=bearer(secret) | {"content-type": kind}) as client,
        client.post(SPEECH, data=io.BytesIO(body)) as told,
    ):
        await told.content.readany()
        told.close()
    async with asyncio.timeout(30):
        await stopped.wait()
        while not (rows := await house.usage()) or not rows[0]["completion_tokens"]:
            await asyncio.sleep(0.05)
    assert rows[0]["prompt_tokens"] == 6108
    name, *windows = aborted
    assert name.startswith("transcribe-") and windows == [f"{name}-{number}" for number in range(4)]


async def test_a_refused_file_costs_nothing(build: Build) -> None:
    async def refuse(call: Call) -> None:
        error = {"message": "Invalid or unsupported audio file.", "type": "BadRequestError", "code": 400}
        await call.reply(json.dumps({"error": error}).encode(), status=400)

    house = await build()
    engine = house.engines["tiny"]
    engine.senses, engine.answer = HEARS, refuse
    _, secret = await house.key()
    status, refused = await post(house, secret, SPEECH, form=form({"model": "tiny"}, b"no sound"))
    assert (status, refused["error"]["message"]) == (400, "Invalid or unsupported audio file.")
    (row,) = await house.usage()
    assert (row["errors"], row["prompt_tokens"], row["completion_tokens"], row["audio_seconds"]) == (1, 0, 0, 0)
