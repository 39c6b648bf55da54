"""Measures one answer as it passes: time to its first bytes, the pace of its events, and its tokens at the end."""

from collections import deque
from time import perf_counter

from freehold.serve.gateway.metrics import ModelMetrics
from freehold.serve.gateway.usage import Heard, Usage, heard_of, last_usage, usage_of

_TAIL_READS = 4
"""Usage stands in one of the last events: before `[DONE]`, or before Anthropic's `message_stop`."""


class AnswerMeter:
    """Feeds one model's metrics from one answer, and knows its tokens."""

    __slots__ = (
        "_first",
        "_hears",
        "_is_background",
        "_last_s",
        "_metrics",
        "_started",
        "_tail",
        "_usage",
        "_waiting",
        "events_seen",
        "first_byte_s",
        "heard",
    )

    def __init__(
        self, metrics: ModelMetrics, started: float, *, is_background: bool = False, hears: bool = False
    ) -> None:
        """`is_background` says that nobody waits for the answer at a socket, `hears` that sound was asked about."""
        self._metrics = metrics
        self._started = started
        self._last_s = 0.0
        self._first = b""
        self._tail: deque[bytes] = deque(maxlen=_TAIL_READS)
        self._usage: Usage | None = None
        self._waiting = True
        self._is_background = is_background
        self._hears = hears
        self.heard: Heard | None = None
        """What a whole answer tells of the sound."""
        self.events_seen = 0
        """Events of a stream so far."""
        self.first_byte_s = 0.0
        """From the request to the first bytes of the answer; 0 before them."""
        metrics.in_flight += 1
        metrics.waiting += 1
        if is_background:
            metrics.background_in_flight += 1
            metrics.background_waiting += 1

    @property
    def usage(self) -> Usage | None:
        """Tokens as the engine counted them; None if it has not told so far."""
        if self._usage is None and self._tail:
            self._usage = self._stream_usage()
        return self._usage

    def answered(self) -> None:
        """The engine has begun to answer, or never will."""
        if self._waiting:
            self._waiting = False
            self._metrics.waiting -= 1
            if self._is_background:
                self._metrics.background_waiting -= 1

    def first_events(self, chunk: bytes) -> None:
        """The first bytes of an event stream."""
        self.answered()
        self._last_s = perf_counter()
        self.first_byte_s = self._last_s - self._started
        self._metrics.ttft.observe(self.first_byte_s)
        self._first = chunk
        self._tail.append(chunk)
        self.events_seen = chunk.count(b"\n\n")

    def events(self, chunk: bytes) -> float:
        """More bytes of an event stream; one read may bring several events, which then share the time it took.

        Returns their pace in seconds per event.
        """
        now = perf_counter()
        self._tail.append(chunk)
        pace_s = now - self._last_s
        if count := chunk.count(b"\n\n"):
            self.events_seen += count
            pace_s /= count
            self._metrics.inter_token.observe(pace_s, count)
            self._last_s = now
        return pace_s

    def unseen(self, chunk: bytes) -> None:
        """Bytes of an answer that nobody reads any more: its usage may be among them."""
        self._tail.append(chunk)

    def whole(self, body: bytes) -> None:
        """The last bytes of an answer that came in one piece."""
        self.answered()
        self.first_byte_s = self.first_byte_s or perf_counter() - self._started
        if self._hears:
            self.heard = heard_of(body)
        else:
            self._usage = usage_of(body)

    def broken(self) -> None:
        """The engine did not finish what it began."""
        self._metrics.broken_answers += 1

    def dismiss(self) -> None:
        """The attempt has failed and another one follows: the request is not over."""
        self.answered()
        self._metrics.in_flight -= 1
        if self._is_background:
            self._metrics.background_in_flight -= 1

    def close(self, path: str, status: int) -> None:
        """The exchange is over."""
        self.dismiss()
        metrics = self._metrics
        if self._usage is not None:
            metrics.count_tokens(self._usage)
        elif self.usage is not None:
            metrics.count_tokens(self.usage)
        elif self.events_seen:
            metrics.unmetered_streams += 1
        metrics.count_request(path, status)
        metrics.duration.observe(perf_counter() - self._started)

    def _stream_usage(self) -> Usage | None:
        usage = last_usage(b"".join(self._tail))
        if usage is not None and usage.prompt is None:  # Anthropic's API may tell it in `message_start` only
            head = last_usage(self._first)
            usage = usage._replace(prompt=head.prompt if head else None)
        return usage
