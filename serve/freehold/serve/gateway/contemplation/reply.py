"""The one answer that the client sees: chat completion in one piece, or chunks of a stream."""

import time
from typing import Any

import msgspec

from freehold.serve.gateway import headers
from freehold.serve.gateway.contemplation.wish import Wish
from freehold.serve.gateway.exchange import Exchange
from freehold.serve.gateway.job import Job
from freehold.serve.gateway.parameters import not_honoured_line

_encode = msgspec.json.Encoder().encode
_KEEP_ALIVE = b": the models are contemplating\n\n"
"""A comment, by https://html.spec.whatwg.org/multipage/server-sent-events.html: no client takes it for an event."""


class Reply:
    """Written to the client as it comes, if it streams; else when it is finished."""

    def __init__(self, job: Job, exchange: Exchange, wish: Wish, fingerprint: str) -> None:
        self.has_content = False
        """Some of the answer itself has left, so it cannot be another one any more."""
        self._exchange = exchange
        self._wish = wish
        self._fingerprint = fingerprint
        self._request_id = job.request_id
        self._about = {"id": f"chatcmpl-{job.request_id}", "created": int(time.time()), "model": job.plan.route}
        self._lines = b""
        if hints := tuple(sorted({*job.hints, *wish.ignored})):
            self._lines += not_honoured_line(hints)
        if job.reservation is not None:
            self._lines += job.reservation.header_lines()
        self._transcript: list[str] = []

    def tell(self, text: str) -> bool:
        """More of the transcript, if the client wants it; returns whether to wait for room."""
        if not self._wish.wants_transcript:
            return False
        if self._wish.is_stream:
            return self._chunk({"reasoning": text})
        self._transcript.append(text)
        return False

    def say(self, text: str) -> bool:
        """More of the answer, of one that streams; returns whether to wait for room."""
        if not self._wish.is_stream:
            return False
        self.has_content = True
        return self._chunk({"content": text})

    def keep_alive(self) -> None:
        """Show a client that streams, and what stands between, that somebody is there."""
        if self._wish.is_stream and not self.has_content:
            self._begin_stream()
            self._write(_KEEP_ALIVE)

    def finish(self, text: str, finish_reason: str, usage: dict[str, Any], fingerprint: str) -> None:
        """The answer's end; of a stream, `text` was said before."""
        if self._wish.is_stream:
            self._chunk({}, finish_reason, fingerprint)
            if self._wish.wants_usage:
                self._event({"choices": [], "usage": usage})
            self._write(b"data: [DONE]\n\n", is_last=True)
            return
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if self._wish.wants_transcript:
            message["reasoning"] = "".join(self._transcript)
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}
        answer = {**self._about, "object": "chat.completion", "choices": [choice], "usage": usage}
        body = _encode({**answer, "system_fingerprint": fingerprint or None})
        head = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        self._exchange.begin(200, head, self._header_lines(fingerprint))
        self._write(body, is_last=True)

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None, fingerprint: str = "") -> bool:
        self._begin_stream()
        more = {"system_fingerprint": fingerprint} if fingerprint else {}
        return self._event({"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}], **more})

    def _begin_stream(self) -> None:
        if self._exchange.status:
            return
        head = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
        self._exchange.begin(200, head, self._header_lines(self._fingerprint), is_event_stream=True)
        delta = {"role": "assistant", "content": ""}
        self._event({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})

    def _header_lines(self, fingerprint: str) -> bytes:
        return headers.to_client({}, fingerprint, self._request_id) + self._lines

    def _event(self, fields: dict[str, Any]) -> bool:
        return self._write(b"data: %b\n\n" % _encode({**self._about, "object": "chat.completion.chunk", **fields}))

    def _write(self, data: bytes, *, is_last: bool = False) -> bool:
        if self._exchange.tape is not None:
            self._exchange.tape.append(data)
        if is_last:
            self._exchange.end(data)
            return False
        return self._exchange.write(data)
