"""The whole gateway in front of engines that lie, stammer and die: a proper error, and nothing stays reserved."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
from fixtures.house import CHAT, MESSAGES, House, answer_three, bearer, open_house
from fixtures.stub_engine import SSE, Call

from freehold.serve.gateway import new_event_loop

pytestmark = pytest.mark.slow


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": new_event_loop}


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


class One:
    """A key with room for one request, and a client of it."""

    def __init__(self, house: House, client: aiohttp.ClientSession) -> None:
        self.house, self.client = house, client

    async def is_free(self) -> None:
        """Fail unless the key's only slot and its tokens are to be had again."""
        self.house.engines["tiny"].answer = answer_three
        status, text = await self.ask(max_tokens=900)
        assert status == 200, text
        assert self.house.gateways[0].gateway.in_flight == 0

    async def ask(self, max_tokens: int = 5) -> tuple[int, str]:
        """Status and body of a plain request."""
        body = {"model": "tiny", "max_tokens": max_tokens, "messages": MESSAGES}
        async with self.client.post(CHAT, json=body) as answer:
            return answer.status, await answer.text()

    async def torn_stream(self, path: str) -> bytes:
        """What there is of a stream that breaks off."""
        received = b""
        async with self.client.post(path, json={"model": "tiny", "stream": True, "messages": MESSAGES}) as answer:
            assert answer.status == 200
            with pytest.raises(aiohttp.ClientPayloadError):
                async for piece in answer.content.iter_any():
                    received += piece
        return received


@pytest.fixture
async def one(stack: AsyncExitStack, tmp_path: Path) -> One:
    house = await open_house(stack, f"sqlite:///{tmp_path / 'gateway.db'}")
    _, secret = await house.key(concurrent_requests=1, monthly_tokens=1500)
    client = await stack.enter_async_context(aiohttp.ClientSession(house.url, headers=bearer(secret)))
    return One(house, client)


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
WHOLE = HEAD + b'content-length: 15\r\n\r\n{"choices": []}'

MALFORMED = {
    "no HTTP at all": b"220 mail.example.com ESMTP\r\n",
    "another protocol's status line": b"ICY 200 OK\r\n\r\n",
    "a version that is none": b"HTTP/9.9 200 OK\r\n\r\n",
    "a status of letters": b"HTTP/1.1 abc OK\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\ncontent-length: 0\r\n\r\n",
    "a status below all": b"HTTP/1.1 000 OK\r\ncontent-length: 0\r\n\r\n",
    "control characters in a name": HEAD + b"x\x00\x01y: z\r\n\r\n",
    "a control character in a value": HEAD + b"x: a\x00b\r\ncontent-length: 2\r\n\r\n{}",
    "a header without a colon": HEAD + b"garbage\r\n\r\n",
    "a length that is no number": HEAD + b"content-length: two\r\n\r\n{}",
    "a negative length": HEAD + b"content-length: -2\r\n\r\n{}",
    "a length beyond all numbers": HEAD + b"content-length: " + b"9" * 40 + b"\r\n\r\n{}",
    "two lengths": HEAD + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}",
    "a length and chunks": HEAD + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "a chunk's size that is none": CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n",
    "a chunk's size beyond all numbers": CHUNKED + b"f" * 40 + b"\r\n{}",
    "a negative chunk's size": CHUNKED + b"-2\r\n{}\r\n0\r\n\r\n",
    "a switch of protocols": b"HTTP/1.1 101 Switch\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\nhello",
}
THEN_GONE = {
    "a length that promises more": HEAD + b"content-length: 100\r\n\r\n{}",
    "a large length that promises more": HEAD + b"content-length: 99999999\r\n\r\n",
    "a chunk that promises more": CHUNKED + b"ff\r\n",
    "no end of the chunks": CHUNKED,
    "a flood of interim answers": b"HTTP/1.1 102 Processing\r\n\r\n" * 20_000,
    "half a head": HEAD,
}


@pytest.mark.parametrize("path", [CHAT, "/v1/messages"])
@pytest.mark.parametrize("name", [*MALFORMED, *THEN_GONE])
async def test_what_is_no_answer_is_a_well_formed_error_and_holds_nothing(name: str, path: str, one: One) -> None:
    async def garbage(call: Call) -> None:
        await call.raw(MALFORMED[name] if name in MALFORMED else THEN_GONE[name])
        if name in THEN_GONE:
            call.hang_up()
        await call.left.wait()

    one.house.engines["tiny"].answer = garbage
    async with one.client.post(path, json={"model": "tiny", "max_tokens": 5, "messages": MESSAGES}) as answer:
        assert answer.status == 502
        told = json.loads(await answer.read())
    assert "lost" in told["error"]["message"]
    assert ("code" in told["error"]) == (path == CHAT), "Anthropic's errors have no code"
    await one.is_free()


@pytest.mark.parametrize("name", [name for name in MALFORMED if "chunk's size" in name])
async def test_a_malformed_chunk_in_a_stream_is_an_error_event(name: str, one: One) -> None:
    async def garbage(call: Call) -> None:
        await call.raw(EVENTS)
        await call.chunk(b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n')
        await call.raw(MALFORMED[name].removeprefix(CHUNKED))
        await call.left.wait()

    one.house.engines["tiny"].answer = garbage
    received = await one.torn_stream(CHAT)
    assert (
        json.loads(received.rstrip().rpartition(b"\n\n")[2].removeprefix(b"data: "))["error"]["code"] == "engine_lost"
    )
    await one.is_free()


async def test_interim_answers_are_passed_over(one: One) -> None:
    async def flood(call: Call) -> None:
        await call.raw(b"HTTP/1.1 100 Continue\r\n\r\n" * 5000 + WHOLE)

    one.house.engines["tiny"].answer = flood
    assert await one.ask() == (200, '{"choices": []}')
    await one.is_free()


async def test_what_an_engine_says_beyond_its_length_reaches_nobody(one: One) -> None:
    async def talk_on(call: Call) -> None:
        await call.raw(WHOLE + b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecret")

    one.house.engines["tiny"].answer = talk_on
    for _ in range(5):
        assert await one.ask() == (200, '{"choices": []}')
    await one.is_free()


@pytest.mark.parametrize("path", [CHAT, "/v1/completions", "/v1/responses", "/v1/messages"])
async def test_an_engine_that_is_killed_in_a_stream_is_charged_by_an_estimate(path: str, one: One) -> None:
    async def die(call: Call) -> None:
        await call.start(content_type=SSE)
        for _ in range(4):
            await call.chunk(b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n')
        await asyncio.sleep(0.02)
        call.die()

    one.house.engines["tiny"].answer = die
    event = (await one.torn_stream(path)).rstrip().rpartition(b"\n\n")[2]
    name, _, data = event.rpartition(b"data: ")
    told = json.loads(data)
    assert name == (b"" if path in (CHAT, "/v1/completions") else b"event: error\n")
    assert told.get("type") == (None if path in (CHAT, "/v1/completions") else "error")
    assert "was lost in the middle of its answer" in json.dumps(told)
    [row] = await one.house.usage()
    assert row["completion_tokens"] == 4, "an event is a token"
    assert 0 < row["prompt_tokens"] < 100
    assert row["estimated_tokens"] == row["prompt_tokens"] + row["completion_tokens"]
    assert row["errors"] == 1
    await one.is_free()
