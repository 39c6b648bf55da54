"""No prompt, no answer and no key reaches a log, with every logger at DEBUG and nothing scrubbed."""

import asyncio
import functools
import io
import json
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import aiohttp
import pytest
from fixtures.stub_engine import SSE, Call, StubEngine

from freehold.serve.gateway import GatewayServer

CHAT = "/v1/chat/completions"
PROMPT = "zebra-crossing-prompt"
KEY = "fh-zebraCrossingKey0123456789abcdef"
ANSWER = "zebra-crossing-answer"
MARKERS = (PROMPT, KEY, ANSWER)


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """All that any logger says, as it was said: the fields of the records too."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Everything())
    root = logging.getLogger()
    before = root.level
    quieter = {name: logger.level for name, logger in _loggers() if logger.level}
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    for name in quieter:
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(before)
    for name, level in quieter.items():
        logging.getLogger(name).setLevel(level)


def _loggers() -> list[tuple[str, logging.Logger]]:
    known = logging.root.manager.loggerDict.items()
    return [(name, logger) for name, logger in known if isinstance(logger, logging.Logger)]


class _Everything(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return f"{super().format(record)} {record.__dict__}"


Ask = Callable[..., Awaitable[bytes]]


@pytest.fixture
def ask(client: aiohttp.ClientSession) -> Ask:
    """Send a body with a key in every place a key can be, and read the answer as far as it comes."""

    async def post(body: Any, path: str = CHAT) -> bytes:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {KEY}", "X-Api-Key": KEY, "Content-Type": "application/json"}
        read = b""
        async with client.post(f"{path}?api_key={KEY}", data=data, headers=headers) as answer:
            try:
                async for chunk in answer.content.iter_any():
                    read += chunk
            except aiohttp.ClientPayloadError:
                return read
        return read

    return post


def _request(**more: Any) -> dict[str, Any]:
    return {"model": "tiny", "messages": [{"role": "user", "content": PROMPT}], **more}


async def _die_in_a_stream(call: Call) -> None:
    await call.start(content_type=SSE)
    await call.chunk(f'data: {{"choices":[{{"delta":{{"content":"{ANSWER}"}}}}]}}\n\n'.encode())
    await asyncio.sleep(0.02)
    call.die()


async def _die_at_once(call: Call) -> None:
    call.die()


async def _answer(call: Call) -> None:
    body = {"choices": [{"message": {"content": ANSWER}}], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
    await call.reply(json.dumps(body).encode())


async def _not_http(call: Call) -> None:
    await call.raw(f"{ANSWER} {PROMPT}\r\n\r\n".encode())


_echoed = functools.partial(
    Call.reply, body=json.dumps({"error": {"message": f"cannot take {PROMPT} of {KEY}"}}).encode(), status=500
)

ENGINES: list[Any] = [_answer, _echoed, _die_in_a_stream, _die_at_once, _not_http]
BODIES: list[Any] = [
    _request(),
    _request(stream=True),
    json.dumps(_request()).encode()[:-1],
    f"{PROMPT}\xff".encode("latin-1"),
    json.dumps([PROMPT]).encode(),
    _request(model="no-such-model"),
    _request(model=[PROMPT]),
    _request(max_tokens=PROMPT),
]


def _leaks(logged: io.StringIO, printed: pytest.CaptureFixture[str]) -> list[str]:
    said = printed.readouterr()
    text = logged.getvalue() + said.out + said.err
    return [marker for marker in MARKERS if marker in text]


@pytest.mark.parametrize("path", [CHAT, "/v1/messages", "/v1/responses", "/v1/audio/transcriptions"])
async def test_neither_prompt_nor_answer_nor_key_is_logged(
    path: str, ask: Ask, engine: StubEngine, logged: io.StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    for behaviour in ENGINES:
        engine.answer = behaviour
        for body in BODIES:
            await ask(body, path)
    assert _leaks(logged, capfd) == []


async def test_the_search_finds_what_it_looks_for(
    ask: Ask, engine: StubEngine, logged: io.StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    engine.answer = _die_in_a_stream
    assert ANSWER in (await ask(_request(stream=True))).decode()
    assert PROMPT in engine.calls[0].body.decode()
    assert "was lost" in logged.getvalue(), "the gateway's own lines are among those searched"
    logging.getLogger("some.library").debug("sending %s", PROMPT)
    print(KEY)
    assert _leaks(logged, capfd) == [PROMPT, KEY]


async def test_a_client_that_leaves_is_not_quoted(
    gateway: GatewayServer, engine: StubEngine, logged: io.StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    left = asyncio.Event()

    async def stream_on(call: Call) -> None:
        await call.start(content_type=SSE)
        await call.chunk(f"data: {ANSWER}\n\n".encode())
        await call.left.wait()
        left.set()

    engine.answer = stream_on
    async with aiohttp.ClientSession(gateway.url, headers={"Authorization": f"Bearer {KEY}"}) as session:
        answer = await session.post(CHAT, json=_request(stream=True))
        assert ANSWER in (await answer.content.readany()).decode()
        answer.close()
        await asyncio.wait_for(left.wait(), 10)
    await gateway.stop()
    assert _leaks(logged, capfd) == []


async def test_an_engine_that_cannot_be_reached_is_logged_without_the_request(
    ask: Ask, engine: StubEngine, logged: io.StringIO, capfd: pytest.CaptureFixture[str], unused_tcp_port: int
) -> None:
    engine.base_url = f"http://127.0.0.1:{unused_tcp_port}"
    await ask(_request())
    assert "cannot be reached" in logged.getvalue()
    assert _leaks(logged, capfd) == []
