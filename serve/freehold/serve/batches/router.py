"""`/v1/batches`."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from freehold.serve.admin.queries import named_once
from freehold.serve.batches.creating import create
from freehold.serve.batches.objects import Batch, BatchList, shown
from freehold.serve.batches.requests import NewBatchRequest
from freehold.serve.config import BatchesConfig
from freehold.serve.gateway.errors import NotAllowed
from freehold.serve.state.batches import cancel_batch, get_batch, list_batches
from freehold.serve.state.database import Database
from freehold.serve.state.files import StorageQuota
from freehold.serve.tuning.spaces import Space, Spaces

MAX_PAGE = 100
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]
After = Annotated[str | None, Query(description="Id of the last one of the page before.")]


def batches_router(database: Database, config: BatchesConfig, quota: StorageQuota, whose: Spaces) -> APIRouter:
    """Create, list, show and cancel batches; each within the caller's space."""
    router = APIRouter(prefix="/v1/batches", tags=["batches"], dependencies=[Depends(named_once())])
    Caller = Annotated[Space, Depends(whose)]  # noqa: N806

    # Plain functions run on a thread, where the database may block.
    @router.post("")
    def create_batch(wanted: NewBatchRequest, caller: Caller) -> Batch:
        if caller.principal.known_as:
            raise NotAllowed(
                f"{caller.principal.actor} cannot start a batch",
                why="its lines are sent for a key, long after a session has ended",
                next_step="Send an API key, or sign in with one.",
                code="key_needed",
            )
        return shown(create(database, config, quota, caller, wanted))

    @router.get("")
    def list_all_batches(caller: Caller, after: After = None, limit: Limit = 20) -> BatchList:
        found = database.call(lambda connection: list_batches(connection, caller.visible, after=after, limit=limit + 1))
        data = [shown(record) for record in found[:limit]]
        first, last = (data[0].id, data[-1].id) if data else (None, None)
        return BatchList(data=data, first_id=first, last_id=last, has_more=len(found) > limit)

    @router.get("/{batch_id}")
    def show_batch(batch_id: str, caller: Caller) -> Batch:
        return shown(database.call(lambda connection: get_batch(connection, batch_id, caller.visible)))

    @router.post("/{batch_id}/cancel")
    def stop_batch(batch_id: str, caller: Caller) -> Batch:
        return shown(database.call(lambda connection: cancel_batch(connection, batch_id, caller.visible)))

    return router
