"""What workers are told of the engines while they run."""

import asyncio
from collections.abc import AsyncIterator, Mapping

from freehold.serve.engines.engine import Engine
from freehold.serve.engines.mirrored import describe

LOOK_S = 0.1
"""Engines tell nobody of their changes; this is how old the workers' knowledge may be."""


class EngineStates:
    """The engines' states as lines. One watches, everybody who is interested reads."""

    def __init__(self, engines: Mapping[str, Engine]) -> None:
        self._engines = engines
        self._line = describe(engines)
        self._version = 0
        self._changed = asyncio.Event()

    async def watch(self) -> None:
        """Notice changes, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            self.look()

    def look(self) -> int:
        """Notice changes now; the version of what is now so."""
        line = describe(self._engines)
        if line != self._line:
            self._line = line
            self._version += 1
            self._changed.set()
            self._changed = asyncio.Event()
        return self._version

    async def lines(self) -> AsyncIterator[tuple[int, bytes]]:
        """The state now, and the newest one after each change, each with its version: 0, and more from then on.

        Who reads slowly misses those in between.
        """
        last = -1
        while True:
            if self._version != last:
                last = self._version
                yield last, self._line
            else:
                await self._changed.wait()
