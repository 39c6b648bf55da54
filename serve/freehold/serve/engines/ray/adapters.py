"""The adapters of a model on Ray: each replica loads and proves them for itself, and one is ready when all have it."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

import msgspec

from freehold.serve.adapters.engine import AdapterEngine
from freehold.serve.adapters.host import Wanted
from freehold.serve.adapters.status import AdapterPhase, AdapterStatus
from freehold.serve.engines.engine import Engine, EngineState
from freehold.serve.engines.ray.engine import RayEngine

POLL_S = 0.1
_WORST_FIRST = (AdapterPhase.FAILED, AdapterPhase.LOADING, AdapterPhase.UNLOADING, AdapterPhase.READY)


class RayAdapters:
    """Satisfies `AdapterPlace`. `engines` is where the gateway looks names up: adapters come and go there."""

    def __init__(self, base: RayEngine, engines: dict[str, Engine]) -> None:
        self.base = base
        self._engines = engines
        self._wanted: Mapping[str, Wanted] = {}
        self._task: asyncio.Task[None] | None = None

    def want(self, wanted: Mapping[str, Wanted]) -> None:
        """Say anew what should answer, by adapter's name; returns at once."""
        self._wanted = dict(wanted)
        self.base.want(self._wanted)
        for name in self.base.adapters.keys() - wanted.keys():
            del self.base.adapters[name]
            del self._engines[name]
        for name in wanted.keys() - self.base.adapters.keys():
            adapter = AdapterEngine(name, self.base, AdapterStatus(self.base.name, "", AdapterPhase.LOADING))
            self.base.adapters[name] = self._engines[name] = adapter
        self._follow()

    def statuses(self) -> dict[str, tuple[AdapterStatus, str]]:
        """How each adapter stands, with its fingerprint."""
        return {name: (_status(engine), engine.fingerprint) for name, engine in self.base.adapters.items()}

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"adapters of {self.base.name}")

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            self._follow()
            await asyncio.sleep(POLL_S)

    def _follow(self) -> None:
        for name, engine in self.base.adapters.items():
            wanted = self._wanted[name]
            found = [each for replica in self.base.running_replicas() if (each := replica.adapter(name)) is not None]
            upstreams = {each.upstream_model for each in found if each.state is EngineState.READY}
            if found and len(upstreams) == 1 and all(each.state is EngineState.READY for each in found):
                engine.answer_as(found[0].upstream_model, found[0].fingerprint, self.base.life)
            status = min((_status(each) for each in found), key=_badness, default=None)
            if status is None:  # it sleeps, or is not up: whoever is started will have it
                phase = AdapterPhase.READY if engine.is_loaded else AdapterPhase.LOADING
                status = msgspec.structs.replace(_status(engine), phase=phase)
            engine.adapter = msgspec.structs.replace(status, wanted=wanted.artifact, is_configured=wanted.is_configured)


def _status(engine: AdapterEngine) -> AdapterStatus:
    assert engine.adapter is not None, "it is an adapter"
    return engine.adapter


def _badness(status: AdapterStatus) -> int:
    return _WORST_FIRST.index(status.phase)
