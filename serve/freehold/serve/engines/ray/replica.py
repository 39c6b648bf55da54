"""One replica of Ray Serve, attended from here: proven, given its adapters, and watched until it is gone."""

import asyncio
from collections.abc import Callable, Mapping

from freehold.core.policy import Policies
from freehold.core.store import Artifact, Store
from freehold.serve.adapters.engine import AdapterEngine
from freehold.serve.adapters.host import AdapterHost, Wanted
from freehold.serve.adapters.status import AdapterPhase
from freehold.serve.config import RayEngine
from freehold.serve.engines.attached import AttachedEngine
from freehold.serve.engines.engine import Engine, EngineState

POLL_S = 0.1
SILENT_LIMIT_S = 60.0
"""A replica that asks at the gate listens already."""
RETIRE_S = 120.0
"""An adapter that is replaced answers this long in a replica that has its successor: the others may not have it yet."""


class RayReplica:
    """The vLLM in one replica, over its own port."""

    def __init__(
        self,
        name: str,
        artifact: Artifact,
        config: RayEngine,
        url: str,
        store: Store,
        report: Callable[[str], None],
        *,
        version: str,
        max_lora_rank: int | None,
        wanted: Mapping[str, Wanted] | None,
        policies: Policies,
    ) -> None:
        """`wanted` are its adapters; None for a model that takes none."""
        self.url = url
        self.is_let_in = False
        """Serve sends it requests."""
        self.engine = AttachedEngine(name, artifact, config, url, report, version=version, max_lora_rank=max_lora_rank)
        self.engines: dict[str, Engine] = {}
        """Its adapters."""
        self.host: AdapterHost | None = None
        if wanted is not None:
            self.host = AdapterHost(self.engine, store, self.engines, report, policies, RETIRE_S)
            self.host.want(wanted)

    async def start(self) -> None:
        await self.engine.start()
        if self.host is not None:
            await self.host.start()

    async def stop(self) -> None:
        if self.host is not None:
            await self.host.stop()
        await self.engine.stop()

    @property
    def is_gone(self) -> bool:
        """It was there, and is not any more: what Serve starts in its place asks at the gate again."""
        return self.engine.life > 0 and not self.engine.is_there

    @property
    def is_lost(self) -> bool:
        """It does not answer, or not any more."""
        return self.is_gone or not self.engine.is_there

    def adapter(self, name: str) -> AdapterEngine | None:
        """One of its adapters, however that stands."""
        found = self.engines.get(name)
        return found if isinstance(found, AdapterEngine) else None

    async def refusal(self) -> str:
        """Why it may not take requests; empty as soon as it may: it is proven, and has loaded what it could."""
        deadline = asyncio.get_running_loop().time() + SILENT_LIMIT_S
        while True:
            if self.engine.state is EngineState.FAILED:
                return self.engine.detail
            if self.is_gone:
                return "it ended while it was proven"
            if self.is_lost and asyncio.get_running_loop().time() > deadline:
                return f"{self.url} does not answer"
            if self.engine.state is EngineState.READY and self._has_settled():
                return ""
            await asyncio.sleep(POLL_S)

    def _has_settled(self) -> bool:
        statuses = self.host.statuses().values() if self.host is not None else ()
        return all(status.phase is not AdapterPhase.LOADING for status, _ in statuses)
