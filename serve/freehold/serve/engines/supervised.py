"""An engine that lives as a child of ours does: started, watched, started again with backoff, given up, stopped."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from freehold.serve.config import RestartPolicy
from freehold.serve.engines.child import Child
from freehold.serve.engines.diagnosis import Diagnosis
from freehold.serve.engines.engine import EngineState


class Supervised(ABC):
    """What is done after each life. `report` is told a line at every step, for the person who watches."""

    def __init__(self, name: str, restart: RestartPolicy, log: Path, report: Callable[[str], None]) -> None:
        self.name = name
        self.state = EngineState.STARTING
        self.detail = "not started yet"
        self.life = 0
        """How often it was started: what was loaded into one life is not there in the next."""
        self._restart = restart
        self._log = log
        self._report = report
        self._child: Child | None = None
        self._task: asyncio.Task[None] | None = None
        self._was_ready = False
        self.is_away = False
        """Unloaded, or on the way there."""

    async def start(self) -> None:
        if self.is_away:
            return
        self._task = asyncio.create_task(self._supervise(), name=f"supervise {self.name}")

    async def stop(self) -> None:
        self._set(EngineState.DRAINING, "stopping")
        await self._leave_alone()
        if self._child:
            await self._child.stop()
        self._set(EngineState.STOPPED, "stopped")

    def stay_away(self, why: str) -> None:
        """Before `start`: it is unloaded, and takes nothing of the machine until `load`."""
        self.is_away = True
        self._set(EngineState.UNLOADED, why)

    async def retreat(self) -> None:
        """Take no more requests, and do not start again; what runs goes on until `unload`."""
        self.is_away = True
        self._set(EngineState.DRAINING, "it is being unloaded; what runs may end first")
        await self._leave_alone()

    async def unload(self, why: str) -> None:
        """End the child and all that it has of the machine."""
        if self._child:
            await self._child.stop()
        self.stay_away(why)
        self._report(f"{self.name}: {why}.")

    async def load(self) -> None:
        """Start again after `unload` or `stay_away`; returns at once."""
        self.is_away = self._was_ready = False
        self._set(EngineState.STARTING, "it is being loaded")
        await self.start()

    async def _leave_alone(self) -> None:
        """The child goes on, and nobody watches it."""
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    @abstractmethod
    async def _run_once(self) -> tuple[Diagnosis, float]:
        """One life of the child. Returns why it ended and how many seconds it was ready."""

    async def _supervise(self) -> None:
        """Start, watch, start again with backoff; ends in FAILED when that cannot help."""
        policy = self._restart
        attempts = 0
        while True:
            diagnosis, ready_for_s = await self._run_once()
            if ready_for_s >= policy.healthy_after_s:
                attempts = 0
            attempts += 1
            if diagnosis.is_final or attempts > policy.max_attempts or not self._may_retry(diagnosis):
                self._fail(diagnosis, attempts - 1)
                return
            wait = min(policy.backoff_s * 2 ** (attempts - 1), policy.backoff_limit_s)
            self._set(EngineState.RESTARTING, f"{diagnosis.cause}; restart {attempts} in {wait:.0f} s")
            self._report(
                f"{self.name}: {diagnosis.cause}. Restart {attempts} of {policy.max_attempts} in {wait:.0f} s."
            )
            await asyncio.sleep(wait)

    def _may_retry(self, diagnosis: Diagnosis) -> bool:
        # An engine that never was ready fails fast, so that a wrong config shows at once.
        return self._was_ready or diagnosis.is_chance

    def _fail(self, diagnosis: Diagnosis, restarts: int) -> None:
        after = f" after {restarts} restart(s)" if restarts else ""
        self._set(EngineState.FAILED, diagnosis.cause)
        self._report(f"{self.name}: failed{after}: {diagnosis.cause}\n{diagnosis.remedy} Log: {self._log}")

    def _set(self, state: EngineState, detail: str) -> None:
        self.state = state
        self.detail = detail


class EndedError(Exception):
    """It did not become ready."""

    def __init__(self, diagnosis: Diagnosis) -> None:
        super().__init__(diagnosis.cause)
        self.diagnosis = diagnosis
