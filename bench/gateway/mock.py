"""The engine that all gateways relay to: raw ASGI, no model, answers at once.

`python -m bench.gateway.mock PORT`
"""

import asyncio
import json
import sys
from typing import Any

import uvicorn

from bench.gateway.workloads import MODEL, figures

_ABOUT = {"id": "chatcmpl-0123456789abcdef", "created": 1_760_000_000, "model": MODEL}
_USAGE = {"prompt_tokens": 140, "completion_tokens": 12, "total_tokens": 152}


def _event(delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return b"data: " + json.dumps({**_ABOUT, "object": "chat.completion.chunk", "choices": [choice]}).encode() + b"\n\n"


_MESSAGE = {"role": "assistant", "content": "The capital of France is Paris. " * 4}
_ANSWER = json.dumps(
    {
        **_ABOUT,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": _MESSAGE, "finish_reason": "stop"}],
        "usage": _USAGE,
    }
).encode()
_MODELS = json.dumps({"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "mock"}]}).encode()
# Different words: litellm takes a hundred equal events for a model that has lost its way.
_CHUNKS = [
    {"type": "http.response.body", "body": _event({"content": f" Paris{n}"}), "more_body": True} for n in range(8)
]
_LAST = _event({}, "stop")
_JSON = [(b"content-type", b"application/json")]
_SSE = [(b"content-type", b"text/event-stream; charset=utf-8")]


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Chat completions, and what routers ask to see whether an engine lives."""
    if scope["method"] == "GET":
        await _reply(send, _MODELS if scope["path"] == "/v1/models" else b"{}")
        return
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    chunks, pace_ms = figures(body)
    if chunks:
        await _stream(send, chunks, pace_ms / 1000)
    else:
        await _reply(send, _ANSWER)


async def _reply(send: Any, body: bytes) -> None:
    headers = [*_JSON, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _stream(send: Any, chunks: int, pace_s: float) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": _SSE})
    due = asyncio.get_running_loop().time()
    for number in range(chunks):
        if pace_s:
            due += pace_s
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
        await send(_CHUNKS[number % len(_CHUNKS)])
    await send({"type": "http.response.body", "body": _LAST + b"data: [DONE]\n\n"})


if __name__ == "__main__":
    uvicorn.run(
        app,
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        lifespan="off",
        log_level="warning",
        access_log=False,
    )
