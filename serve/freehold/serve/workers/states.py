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
        self._changed = asyncio.Event()

    async def watch(self) -> None:
        """Notice changes, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            line = describe(self._engines)
            if line != self._line:
                self._line = line
                self._changed.set()
                self._changed = asyncio.Event()

    async def lines(self) -> AsyncIterator[bytes]:
        """The state now, and the newest one after each change; who reads slowly misses those in between."""
        last = b""
        while True:
            if self._line != last:
                last = self._line
                yield last
            else:
                await self._changed.wait()
