"""Models of the config, unloaded and loaded over HTTP; every act is audited."""

from collections.abc import Callable

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool

from freehold.serve.admin.access import origin_of
from freehold.serve.admin.engines import ShownEngine, shown
from freehold.serve.audit import AuditLog
from freehold.serve.engines.engine import Engine
from freehold.serve.loading.desk import ModelDesk


def models_router(desk: ModelDesk, audit: AuditLog) -> APIRouter:
    """`/admin/v1/models/{model}/load` and `/unload`; whoever mounts it lets operators alone in.

    An act is answered when it is written down; the engine follows within a second, and its `state` tells how far it is.
    Errors are raised as `FreeholdError`.
    """
    router = APIRouter(prefix="/admin/v1/models", tags=["engines"])

    async def act(request: Request, name: str, model: str, work: Callable[[str], Engine]) -> ShownEngine:
        def audited() -> Engine:
            actor = request.state.principal.actor
            with audit.act(f"models.{name}", actor=actor, target=model, origin=origin_of(request)):
                return work(actor)

        return shown(await run_in_threadpool(audited), desk)

    @router.post("/{model:path}/unload")
    async def unload_model(model: str, request: Request) -> ShownEngine:
        return await act(request, "unload", model, lambda actor: desk.unload(model, actor))

    @router.post("/{model:path}/load")
    async def load_model(model: str, request: Request) -> ShownEngine:
        return await act(request, "load", model, lambda _: desk.load(model))

    return router
