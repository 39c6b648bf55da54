"""Reads one part's answer as it comes: events of a stream, or a body in one piece."""

from collections.abc import Callable
from typing import Any

import msgspec


class _Text(msgspec.Struct, gc=False):
    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None


class _Token(msgspec.Struct, gc=False):
    logprob: float = 0.0


class _Logprobs(msgspec.Struct, gc=False):
    content: list[_Token] | None = None


class _Choice(msgspec.Struct, gc=False):
    delta: _Text | None = None
    message: _Text | None = None
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class _Event(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    system_fingerprint: str | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Event).decode

OnText = Callable[[str, str], bool]
"""Called with more of the answer and of its reasoning; returns whether to wait for room before the next."""


class AnswerReader:
    """Fed with bytes, it knows the text so far."""

    __slots__ = ("_logprobs", "_on_text", "_rest", "_texts", "fingerprint", "finish_reason", "is_stream", "problem")

    def __init__(self, on_text: OnText | None = None) -> None:
        self.is_stream = True
        self.finish_reason = ""
        self.fingerprint = ""
        self.problem = ""
        """What the engine says went wrong, or why its answer cannot be read."""
        self._on_text = on_text
        self._texts: list[str] = []
        self._logprobs: list[float] = []
        self._rest = b""

    @property
    def text(self) -> str:
        """The answer so far, without reasoning."""
        return "".join(self._texts)

    @property
    def mean_logprob(self) -> float | None:
        """Of its tokens; None if the engine did not tell."""
        return sum(self._logprobs) / len(self._logprobs) if self._logprobs else None

    def feed(self, data: bytes) -> bool:
        """More bytes; returns whether to wait for room before the next."""
        self._rest += data
        if not self.is_stream:
            return False
        waits = False
        *lines, self._rest = self._rest.split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                event = line[5:].strip()
                if event != b"[DONE]":
                    waits = self._take(event) or waits
        return waits

    def end(self) -> None:
        """It has ended, well."""
        rest, self._rest = self._rest, b""
        if self.is_stream:
            rest = rest.strip().removeprefix(b"data:").strip()
        if rest and rest != b"[DONE]":
            self._take(rest)

    def _take(self, data: bytes) -> bool:
        try:
            event = _decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self.problem = self.problem or f"it cannot be read: {data[:80].decode(errors='replace')}"
            return False
        if event.error is not None:
            said = event.error.get("message") if isinstance(event.error, dict) else event.error
            self.problem = str(said or "an error without a message")
        self.fingerprint = event.system_fingerprint or self.fingerprint
        if not event.choices:
            return False
        choice = event.choices[0]
        self.finish_reason = choice.finish_reason or self.finish_reason
        if choice.logprobs is not None and choice.logprobs.content:
            self._logprobs += [token.logprob for token in choice.logprobs.content]
        text = choice.delta or choice.message
        if text is None:
            return False
        reasoning = text.reasoning or text.reasoning_content or ""
        if text.content:
            self._texts.append(text.content)
        if self._on_text is not None and (text.content or reasoning):
            return self._on_text(text.content or "", reasoning)
        return False
