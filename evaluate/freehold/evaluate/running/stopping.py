"""Ending a run before its end, in good order."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from freehold.core.progress import hint


class Stopped(Exception):
    """Nothing new is begun."""


class Stop:
    """Asked before anything is begun; what is on its way goes on to its end."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self.by_person = False

    @property
    def is_asked(self) -> bool:
        return self._asked.is_set()

    def ask(self) -> None:
        self._asked.set()

    def check(self) -> None:
        """Raises Stopped once it was asked for."""
        if self._asked.is_set():
            raise Stopped

    async def sleep(self, seconds: float) -> None:
        """Sleep. Raises Stopped as soon as it is asked for."""
        try:
            await asyncio.wait_for(self._asked.wait(), seconds)
        except TimeoutError:
            return
        raise Stopped


@contextmanager
def interruptible(stop: Stop) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM waits for answers that are on their way, since they cost; the second one does not."""
    loop = asyncio.get_running_loop()
    running = asyncio.current_task()

    def interrupt() -> None:
        if stop.by_person and running:
            running.cancel()
            return
        hint("Stopping: waiting for the answers that are on their way. Once more leaves them.")
        stop.by_person = True
        stop.ask()

    signals = (signal.SIGINT, signal.SIGTERM)
    for number in signals:
        loop.add_signal_handler(number, interrupt)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
