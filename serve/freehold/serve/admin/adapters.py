"""Adapters over HTTP, for administrators; every change is audited."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool

from freehold.serve.adapters.desk import AdapterDesk, AdapterView
from freehold.serve.admin.access import origin_of
from freehold.serve.admin.adapter_objects import AdapterList, NewAdapter, ShownAdapter, shown
from freehold.serve.audit import AuditLog

LIST = "/{model:path}/adapters"
ONE = "/{model:path}/adapters/{name:path}"


def adapters_router(desk: AdapterDesk, audit: AuditLog) -> APIRouter:
    """`/admin/v1/models/{model}/adapters`; whoever mounts it lets administrators alone in.

    A change is answered when it is written down; each replica follows within a second, and `state` tells how far it is.
    Errors are raised as `FreeholdError`.
    """
    router = APIRouter(prefix="/admin/v1/models", tags=["adapters"])

    async def act(
        request: Request, name: str, target: str, details: dict[str, Any], work: Callable[[], AdapterView]
    ) -> ShownAdapter:
        def audited() -> AdapterView:
            actor, origin = request.state.principal.actor, origin_of(request)
            with audit.act(f"adapters.{name}", actor=actor, target=target, origin=origin, details=details) as said:
                view = work()
                said["artifact"] = view.artifact
                return view

        return shown(await run_in_threadpool(audited))

    # Plain functions run on a thread, where the database may block.
    @router.get(ONE)
    def show_adapter(model: str, name: str) -> ShownAdapter:
        return shown(desk.get(model, name))

    @router.delete(ONE)
    async def unload_adapter(model: str, name: str, request: Request) -> ShownAdapter:
        return await act(request, "unload", name, {"model": model}, lambda: desk.unload(model, name))

    @router.get(LIST)
    def list_adapters(model: str) -> AdapterList:
        return AdapterList(data=[shown(view) for view in desk.list(model)])

    @router.post(LIST, status_code=201)
    async def load_adapter(model: str, new: NewAdapter, request: Request) -> ShownAdapter:
        details = {"model": model, **new.model_dump(mode="json", exclude_unset=True, exclude={"name"})}
        return await act(
            request, "load", new.name, details, lambda: desk.load(model, new.name, new.artifact, new.accept)
        )

    return router
