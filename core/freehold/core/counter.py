"""`57 of 205 packages, 34 s, 88 s left`: moves on a terminal; elsewhere a line at most every ten seconds."""

import sys
import time
from typing import TextIO

from freehold.core.progress import PLAIN_INTERVAL_S


class Counter:
    """A context manager around work whose progress is a count."""

    def __init__(self, noun: str, total: int, stream: TextIO | None = None) -> None:
        self._noun = noun
        self._total = total
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._started = self._last_line = time.monotonic()

    def __enter__(self) -> "Counter":
        return self

    def show(self, done: int) -> None:
        now = time.monotonic()
        took = now - self._started
        left = f", {took / done * (self._total - done):.0f} s left" if done else ""
        line = f"  {done} of {self._total} {self._noun}, {took:.0f} s{left}"
        if self._live:
            print(f"\r{line}\033[K", end="", file=self._stream, flush=True)
        elif now - self._last_line >= PLAIN_INTERVAL_S:
            self._last_line = now
            print(line, file=self._stream, flush=True)

    def __exit__(self, *_: object) -> None:
        if self._live:
            print("\r\033[K", end="", file=self._stream, flush=True)
