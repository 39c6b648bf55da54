"""Keeps the adapters in one engine like what is wanted: loads, proves, switches over, unloads.

An artifact is loaded under a name of its own, `<adapter>@<12 digits of its digest>`. So a new one is loaded and proven
beside the old one, which answers until requests are sent to the new one and, for what is under way, a little longer.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import NamedTuple

import aiohttp
import msgspec

from freehold.core.adapters.reference import PARITY_FILE, read_parity
from freehold.core.errors import EngineError, FreeholdError, GateError
from freehold.core.policy import NO_POLICY, Policies
from freehold.core.store import Artifact, Store
from freehold.serve.adapters import vllm_lora
from freehold.serve.adapters.admission import admit, verify_files
from freehold.serve.adapters.engine import AdaptableEngine, AdapterEngine, adapter_fingerprint
from freehold.serve.adapters.proof import prove
from freehold.serve.adapters.status import AdapterPhase, AdapterStatus
from freehold.serve.engines.engine import Engine, EngineState

POLL_S = 0.1
"""Engines tell nobody of their changes."""
RETIRE_S = 10.0
"""From the moment that nothing new is sent to an adapter to its unloading. A gateway's worker knows of a change after
0.1 s; a request that was let in before may still wait for its files."""


class Wanted(NamedTuple):
    """What should answer under an adapter's name."""

    artifact: str
    accept: tuple[str, ...] = ()
    is_configured: bool = False


@dataclass
class _Loaded:
    """An adapter in this life of the engine."""

    name: str
    """The adapter's, as clients send it."""
    artifact: Artifact
    held: ExitStack
    """Keeps the artifact in the store."""
    unload_at: float | None = None
    """By the monotonic clock; None while it is in use."""


@dataclass
class _Slot:
    """One adapter's name."""

    engine: AdapterEngine
    wanted: Wanted
    tried: tuple[int, Wanted] | None = None
    """The last attempt: the engine's life, and what was wanted then."""
    answering: str = ""
    """The engine's name of what answers."""


@dataclass
class AdapterHost:
    """The adapters of one engine. `engines` is where the gateway looks names up: adapters come and go there."""

    base: AdaptableEngine
    store: Store
    engines: dict[str, Engine]
    report: Callable[[str], None]
    policies: Policies = NO_POLICY
    """Held against every adapter before it is loaded, also against those that are asked for at runtime."""
    retire_s: float = RETIRE_S
    _slots: dict[str, _Slot] = field(default_factory=dict)
    _loaded: dict[str, _Loaded] = field(default_factory=dict)
    _life: int = 0
    _task: asyncio.Task[None] | None = None

    def want(self, wanted: Mapping[str, Wanted]) -> None:
        """Say anew what should answer, by adapter's name; returns at once. None of the names is another engine's."""
        for name in self._slots.keys() - wanted.keys():
            del self.engines[name]
            self._retire(self._slots.pop(name).answering)
        for name, what in wanted.items():
            slot = self._slots.get(name)
            if slot is None:
                engine = AdapterEngine(name, self.base, AdapterStatus(self.base.name, "", AdapterPhase.LOADING))
                slot = self._slots[name] = _Slot(engine, what)
                self.engines[name] = engine
                self._show(slot, AdapterPhase.LOADING)
            elif slot.wanted != what:
                slot.wanted = what
                self._show(slot, AdapterPhase.LOADING)

    def statuses(self) -> dict[str, tuple[AdapterStatus, str]]:
        """How each adapter stands, with its fingerprint; those included that are being unloaded."""
        leaving = {one.name: one.artifact for one in self._loaded.values() if one.unload_at is not None}
        found = {
            name: (AdapterStatus(self.base.name, artifact.id, AdapterPhase.UNLOADING), "")
            for name, artifact in leaving.items()
            if name not in self._slots
        }
        for name, slot in self._slots.items():
            found[name] = (self._status(slot), slot.engine.fingerprint)
        return found

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"adapters of {self.base.name}")

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        self._forget()

    # -- one engine, life after life -------------------------------------------------------------------------------

    async def _run(self) -> None:
        async with aiohttp.ClientSession() as session:
            while True:
                if self.base.life != self._life:
                    self._forget()
                    self._life = self.base.life
                    for slot in self._slots.values():
                        self._show(slot, AdapterPhase.LOADING)
                if self.base.state is EngineState.READY:
                    await self._work(session)
                await asyncio.sleep(POLL_S)

    async def _work(self, session: aiohttp.ClientSession) -> None:
        for slot in list(self._slots.values()):
            if slot.tried != (self._life, slot.wanted):
                slot.tried = (self._life, slot.wanted)
                await self._bring(session, slot, slot.wanted)
        now = time.monotonic()
        for name, loaded in list(self._loaded.items()):
            if loaded.unload_at is not None and loaded.unload_at <= now:
                await self._unload(session, name)

    async def _bring(self, session: aiohttp.ClientSession, slot: _Slot, wanted: Wanted) -> None:
        """Load what is wanted and let it answer, or say why not; what answered before goes on then."""
        began = time.monotonic()
        try:
            artifact = await asyncio.to_thread(self._admitted, wanted)
            upstream = await self._load(session, slot.engine.name, artifact, "parity" in wanted.accept)
        except FreeholdError as error:
            if self._is_still(slot, wanted):
                self._show(slot, AdapterPhase.FAILED, str(error))
                self.report(f"{self._title(slot)}: not loaded: {error}\n{error.next_step}".rstrip())
            return
        if not self._is_still(slot, wanted):  # it was changed meanwhile
            if upstream != slot.answering:
                self._retire(upstream)
            return
        before, slot.answering = slot.answering, upstream
        fingerprint = adapter_fingerprint(self.base.fingerprint, artifact.lineage.digest)
        slot.engine.answer_as(upstream, fingerprint, self._life)
        self._show(slot, AdapterPhase.READY)
        if before != upstream:
            self._retire(before)
        self.report(f"{self._title(slot)}: loaded {artifact.id} in {time.monotonic() - began:.1f} s")

    def _admitted(self, wanted: Wanted) -> Artifact:
        """Blocks while files are read. Raises FreeholdError."""
        rank = self.base.max_lora_rank
        assert rank is not None, "an engine without adapters has no host"
        artifact = admit(
            self.store,
            self.base.artifact,
            wanted.artifact,
            accept=wanted.accept,
            max_rank=rank,
            policies=self.policies,
        )
        verify_files(self.store, artifact)
        return artifact

    async def _load(self, session: aiohttp.ClientSession, name: str, artifact: Artifact, accepts: bool) -> str:
        """The engine's name of it, which is loaded and proven then. Raises FreeholdError."""
        upstream = f"{name}@{artifact.lineage.digest[:12]}"
        loaded = self._loaded.get(upstream)
        if loaded is not None:  # it was wanted before, and is not unloaded yet
            loaded.unload_at = None
            return upstream
        with ExitStack() as held:
            held.enter_context(self.store.use(artifact))
            await vllm_lora.load(session, self.base.base_url, upstream, artifact.path)
            self._loaded[upstream] = _Loaded(name, artifact, held.pop_all())
        try:
            await self._prove(session, upstream, artifact, accepts=accepts)
        except FreeholdError:
            await self._unload(session, upstream)
            raise
        return upstream

    async def _prove(self, session: aiohttp.ClientSession, upstream: str, artifact: Artifact, *, accepts: bool) -> None:
        """Raises GateError with the cause when the engine does not answer as the trainer's model did."""
        reference = await asyncio.to_thread(read_parity, artifact.path)
        if reference is None:
            if not accepts:
                raise _unproven(artifact)
            self.report(f"{self.base.name}: {artifact.id} has no parity reference and is served unproven, as accepted.")
            return
        try:
            proof = await prove(
                session,
                self.base.base_url,
                base=self.base.upstream_model,
                adapter=upstream,
                reference=reference,
                context_tokens=self.base.context_tokens,
                quantized_online=self.base.is_quantized_online,
            )
            if proof.problems:
                raise GateError(
                    f"{artifact.id} does not answer as it did in training",
                    why="; ".join(proof.problems),
                    next_step=f"Run `freehold parity {artifact.id}`, or accept it as it is with `accept: [parity]`.",
                )
        except GateError as error:
            if not accepts:
                raise
            self.report(f"{self.base.name}: {error}. It is served all the same, as accepted.")
        else:
            self.report(f"{self.base.name}: {artifact.id}: {proof}")

    async def _unload(self, session: aiohttp.ClientSession, upstream: str) -> None:
        self._loaded.pop(upstream).held.close()
        try:
            await vllm_lora.unload(session, self.base.base_url, upstream)
        except EngineError as error:  # nothing is sent to it any more, and the next life does not have it
            self.report(f"{self.base.name}: {upstream}: {error}")

    # -- bookkeeping -----------------------------------------------------------------------------------------------

    def _is_still(self, slot: _Slot, wanted: Wanted) -> bool:
        return self._slots.get(slot.engine.name) is slot and slot.wanted == wanted and self.base.life == self._life

    def _retire(self, upstream: str) -> None:
        if loaded := self._loaded.get(upstream):
            loaded.unload_at = time.monotonic() + self.retire_s

    def _forget(self) -> None:
        """What an engine held that is not there any more."""
        for loaded in self._loaded.values():
            loaded.held.close()
        self._loaded.clear()
        for slot in self._slots.values():
            slot.answering = ""

    def _show(self, slot: _Slot, phase: AdapterPhase, detail: str = "") -> None:
        loaded = self._loaded.get(slot.answering)
        slot.engine.adapter = AdapterStatus(
            model=self.base.name,
            wanted=slot.wanted.artifact,
            phase=phase,
            detail=detail,
            serving=loaded.artifact.id if loaded else "",
            is_configured=slot.wanted.is_configured,
        )

    def _status(self, slot: _Slot) -> AdapterStatus:
        """As shown, unless the engine is not there: then nothing is."""
        status = slot.engine.adapter
        assert status is not None, "it is an adapter"
        if self.base.state is EngineState.READY and self.base.life == self._life:
            return status
        has_failed = self.base.state is EngineState.FAILED
        phase = AdapterPhase.FAILED if has_failed else AdapterPhase.LOADING
        return msgspec.structs.replace(status, phase=phase, detail=f"its engine: {self.base.detail}", serving="")

    def _title(self, slot: _Slot) -> str:
        return f"{self.base.name}: adapter {slot.engine.name}"


def _unproven(artifact: Artifact) -> GateError:
    return GateError(
        f"{artifact.id} cannot be proven",
        why=f"it holds no {PARITY_FILE}",
        next_step="Train it with `freehold finetune`, or accept it unproven with `accept: [parity]`.",
    )
