"""An adapter as the gateway sees it: an engine of its own name, on the machine of its model."""

import hashlib
from collections.abc import Mapping
from typing import Protocol

from freehold.core.store import Artifact
from freehold.serve.adapters.status import AdapterPhase, AdapterStatus
from freehold.serve.engines.engine import Engine, EngineState
from freehold.serve.senses import Senses


class AdaptableEngine(Engine, Protocol):
    """An engine that is given adapters while it runs."""

    @property
    def artifact(self) -> Artifact:
        """The model that it serves."""

    @property
    def life(self) -> int:
        """How often it was started: what was loaded into one life is not there in the next."""

    @property
    def max_lora_rank(self) -> int | None:
        """Largest rank that it takes; None for one that was started for the model alone."""

    @property
    def is_quantized_online(self) -> bool:
        """Whether it quantizes the model's weights itself, so that no reference has seen them."""


class AdapterEngine:
    """Satisfies `Engine`. Ready while the model's engine is, and holds the adapter in this life of it."""

    def __init__(self, name: str, base: AdaptableEngine, status: AdapterStatus) -> None:
        self.name = name
        self.adapter: AdapterStatus | None = status
        self.upstream_model = name
        self.fingerprint = self.artifact_id = ""
        self.leaves = False
        self.headers: Mapping[str, str] = {}
        self.provider = base.provider
        self.is_spread = base.is_spread
        self._base = base
        self._loaded_in_life = 0

    def answer_as(self, upstream_model: str, fingerprint: str, life: int) -> None:
        """From now on requests go to what the engine, in this life of it, knows by that name."""
        self.upstream_model, self.fingerprint, self._loaded_in_life = upstream_model, fingerprint, life

    @property
    def is_loaded(self) -> bool:
        """Whether the engine holds it, whatever else is being loaded under its name."""
        return self._loaded_in_life == self._base.life

    @property
    def state(self) -> EngineState:
        base = self._base.state
        if base is not EngineState.READY or self.is_loaded:
            return base
        assert self.adapter is not None, "it is an adapter"
        return EngineState.FAILED if self.adapter.phase is AdapterPhase.FAILED else EngineState.STARTING

    @property
    def detail(self) -> str:
        assert self.adapter is not None, "it is an adapter"
        if self._base.state is not EngineState.READY:
            return self._base.detail
        return "" if self.is_loaded else self.adapter.detail or "the adapter is being loaded"

    @property
    def base_url(self) -> str:
        return self._base.base_url

    @property
    def context_tokens(self) -> int | None:
        return self._base.context_tokens

    @property
    def can_abort(self) -> bool:
        return self._base.can_abort

    @property
    def abilities(self) -> frozenset[str] | None:
        return self._base.abilities

    @property
    def senses(self) -> Senses | None:
        return self._base.senses

    def speaks(self, anthropic: bool) -> bool:
        return self._base.speaks(anthropic)

    async def start(self) -> None:
        """Nothing: `AdapterHost` loads it."""

    async def stop(self) -> None: ...


def adapter_fingerprint(base_fingerprint: str, adapter_digest: str) -> str:
    """`system_fingerprint` of a model with an adapter: over the model's own and the adapter's content."""
    return "fh-" + hashlib.sha256(f"{base_fingerprint}\0{adapter_digest}".encode()).hexdigest()[:16]
