"""Engines over HTTP: how each stands, for whoever may look."""

from collections.abc import Mapping
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from freehold.serve.engines.engine import Engine, EngineState
from freehold.serve.loading.desk import ModelDesk


class ShownEngine(BaseModel):
    """An engine of this gateway, or an adapter in one."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    object: Literal["engine"] = "engine"
    name: str
    """What clients send as "model"."""
    state: EngineState
    detail: str
    """How far a start is, or why it is not ready; empty when it is."""
    kind: str
    """`model` or `adapter`."""
    parent: str | None
    """Of an adapter, the model that it is loaded into."""
    artifact: str | None
    system_fingerprint: str | None
    provider: str
    """Whose API it speaks: `vllm`, `openai` or `anthropic`."""
    leaves: bool
    """Whether a request leaves the house with it."""
    context_tokens: int | None
    can_unload: bool
    """Whether it is this gateway's to unload and load."""


class EngineList(BaseModel):
    """All engines, by name."""

    object: Literal["list"] = "list"
    data: list[ShownEngine]


def engines_router(engines: Mapping[str, Engine], desk: ModelDesk) -> APIRouter:
    """`/admin/v1/engines`; whoever mounts it lets viewers in."""
    router = APIRouter(prefix="/admin/v1/engines", tags=["engines"])

    @router.get("")
    async def list_engines() -> EngineList:
        return EngineList(data=[shown(engine, desk) for _, engine in sorted(engines.items())])

    return router


def shown(engine: Engine, desk: ModelDesk) -> ShownEngine:
    """The engine as it is now."""
    adapter = engine.adapter
    return ShownEngine(
        name=engine.name,
        state=engine.state,
        detail=engine.detail,
        kind="model" if adapter is None else "adapter",
        parent=None if adapter is None else adapter.model,
        artifact=(engine.artifact_id if adapter is None else adapter.serving or adapter.wanted) or None,
        system_fingerprint=engine.fingerprint or None,
        provider=engine.provider,
        leaves=engine.leaves,
        context_tokens=engine.context_tokens,
        can_unload=engine.adapter is None and desk.obstacle(engine.name) is None,
    )
