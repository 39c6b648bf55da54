"""Measures one answer as it passes: time to its first bytes, the pace of its events, and its tokens at the end."""

from collections import deque
from time import perf_counter

from freehold.serve.gateway.metrics import ModelMetrics
from freehold.serve.gateway.usage import Usage, last_usage

_TAIL_READS = 4
"""Usage stands in one of the last events: before `[DONE]`, or before Anthropic's `message_stop`."""


class AnswerMeter:
    """Feeds one model's metrics from one answer."""

    __slots__ = ("_first", "_last_s", "_metrics", "_started", "_tail", "_waiting")

    def __init__(self, metrics: ModelMetrics, started: float) -> None:
        self._metrics = metrics
        self._started = started
        self._last_s = 0.0
        self._first = b""
        self._tail: deque[bytes] = deque(maxlen=_TAIL_READS)
        self._waiting = True
        metrics.in_flight += 1
        metrics.waiting += 1

    def answered(self) -> None:
        """The engine has begun to answer, or never will."""
        if self._waiting:
            self._waiting = False
            self._metrics.waiting -= 1

    def first_events(self, chunk: bytes) -> None:
        """The first bytes of an event stream."""
        self.answered()
        self._last_s = perf_counter()
        self._metrics.ttft.observe(self._last_s - self._started)
        self._first = chunk
        self._tail.append(chunk)

    def events(self, chunk: bytes) -> float:
        """More bytes of an event stream; one read may bring several events, which then share the time it took.

        Returns their pace in seconds per event.
        """
        now = perf_counter()
        self._tail.append(chunk)
        pace_s = now - self._last_s
        if count := chunk.count(b"\n\n"):
            pace_s /= count
            self._metrics.inter_token.observe(pace_s, count)
            self._last_s = now
        return pace_s

    def stream_ended(self) -> None:
        """Count the tokens of a whole event stream, if the client asked for usage."""
        usage = last_usage(b"".join(self._tail))
        if usage is None:
            self._metrics.unmetered_streams += 1
            return
        if usage.prompt is None:  # Anthropic's API may tell it in `message_start` only
            head = last_usage(self._first)
            usage = Usage(head.prompt if head else None, usage.completion)
        self._metrics.count_tokens(usage)

    def whole(self, body: bytes) -> None:
        """Count the tokens of an answer that came in one piece."""
        self.answered()
        if usage := last_usage(body):
            self._metrics.count_tokens(usage)

    def broken(self) -> None:
        """The engine did not finish what it began."""
        self._metrics.broken_answers += 1

    def close(self, path: str, status: int) -> None:
        """The exchange is over."""
        self.answered()
        metrics = self._metrics
        metrics.in_flight -= 1
        metrics.count_request(path, status)
        metrics.duration.observe(perf_counter() - self._started)
