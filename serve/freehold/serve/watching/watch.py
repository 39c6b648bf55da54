"""Takes readings while somebody looks, and stops when nobody does: an unwatched gateway does nothing for it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from freehold.serve.engines.engine import Engine
from freehold.serve.watching.engines import read_engines
from freehold.serve.watching.gpus import GpuReading, read_gpus
from freehold.serve.watching.reading import read_gateway
from freehold.serve.watching.series import INTERVAL_S, Memory, Moment

PATIENCE_S = 900.0
"""For how long it goes on after the last look, so that whoever comes back finds no gap."""
GPU_INTERVAL_S = 15.0

Source = Callable[[], Awaitable[bytes]]
"""The metrics of all of this gateway's processes, as text."""


class Watch:
    """One process's watch over the gateway."""

    def __init__(self, engines: Mapping[str, Engine]) -> None:
        self.source: Source | None = None
        """Set by the gateway that it belongs to."""
        self.memory = Memory()
        self._engines = engines
        self._asked_at = 0.0
        self._beginning = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._gpus: list[GpuReading] = []
        self._gpus_at = float("-inf")

    async def look(self) -> Memory:
        """What is known, with a reading that is no older than an interval; watching goes on from here."""
        self._asked_at = time.monotonic()
        async with self._beginning:
            if self._task is None or self._task.done():
                await self._read()
                self._task = asyncio.create_task(self._go_on(), name="watch")
        return self.memory

    async def close(self) -> None:
        """Stop watching."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _go_on(self) -> None:
        while time.monotonic() < self._asked_at + PATIENCE_S:
            await asyncio.sleep(INTERVAL_S)
            await self._read()

    async def _read(self) -> None:
        assert self.source is not None, "the gateway has told where its metrics are"
        text, engines, gpus = await asyncio.gather(self.source(), read_engines(self._engines), self._read_gpus())
        # Parsing takes milliseconds, in which no request should wait.
        models = await asyncio.to_thread(read_gateway, text.decode())
        self.memory.add(Moment(time.time(), models, engines, gpus))

    async def _read_gpus(self) -> list[GpuReading]:
        if time.monotonic() >= self._gpus_at + GPU_INTERVAL_S:
            self._gpus = await asyncio.to_thread(read_gpus)
            self._gpus_at = time.monotonic()
        return self._gpus
