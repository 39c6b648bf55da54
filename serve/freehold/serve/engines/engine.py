"""What the gateway knows of an engine: an OpenAI-compatible endpoint with a name and a state."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol

from freehold.serve.adapters.status import AdapterStatus
from freehold.serve.senses import Senses


class EngineState(StrEnum):
    """Life of an engine. Only `READY` takes requests."""

    STARTING = "starting"
    PROBING = "probing"
    READY = "ready"
    RESTARTING = "restarting"
    UNREACHABLE = "unreachable"
    DRAINING = "draining"
    FAILED = "failed"
    STOPPED = "stopped"
    UNLOADED = "unloaded"
    """Somebody unloaded it; it starts when it is loaded again."""
    ASLEEP = "asleep"
    """It has been scaled to nothing; somebody else starts it when it is asked for."""


class Engine(Protocol):
    """One engine, whoever starts it. The gateway reads the properties on every request: they must be cheap."""

    @property
    def name(self) -> str:
        """Model name that clients send."""

    @property
    def upstream_model(self) -> str:
        """Model name that the engine itself expects; differs from `name` for some remote engines only."""

    @property
    def base_url(self) -> str:
        """Root that ends before `/v1`, without a trailing slash."""

    @property
    def state(self) -> EngineState: ...

    @property
    def detail(self) -> str:
        """One line on why it is not ready; empty when it is."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers the engine wants on every request (authorization of a remote endpoint)."""

    @property
    def fingerprint(self) -> str:
        """`system_fingerprint` of what answers; empty while unknown."""

    @property
    def artifact_id(self) -> str:
        """Of the model that it serves; empty where that is somebody else's, and for an adapter (see `adapter`)."""

    @property
    def leaves(self) -> bool:
        """Whether a request leaves the house with it."""

    @property
    def context_tokens(self) -> int | None:
        """Longest prompt and answer together; None while unknown."""

    @property
    def can_abort(self) -> bool:
        """Whether `POST /inference/v1/abort_requests` ends a request and makes it tell its usage."""

    @property
    def abilities(self) -> frozenset[str] | None:
        """What it can do beyond every other vLLM (`gateway.parameters`); None for one that may be no vLLM."""

    @property
    def senses(self) -> Senses | None:
        """What it takes beside text, and what that costs; None where nobody knows."""

    @property
    def adapter(self) -> AdapterStatus | None:
        """How it stands, if this is an adapter, on the machine of another engine; None for a model."""

    @property
    def provider(self) -> str:
        """Whose API it is, as traces name it: `vllm`, `openai` or `anthropic`."""

    @property
    def is_spread(self) -> bool:
        """Whether somebody else spreads requests over replicas behind its address: then a request that was
        lost may be asked again, and a plain text is the word of whoever spreads them."""

    def speaks(self, anthropic: bool) -> bool:
        """Whether it has Anthropic's paths (True), or OpenAI's and the others (False)."""

    async def start(self) -> None:
        """Begin to start and return; watch `state`. Called once."""

    async def stop(self) -> None:
        """Stop for good, leaving nothing behind."""
