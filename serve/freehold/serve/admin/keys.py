"""API keys over HTTP, for administrators; every change is audited."""

import time
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from freehold.serve.admin.access import origin_of, require_role
from freehold.serve.admin.key_objects import CreatedKey, KeyList, Rotation, ShownKey, shown, with_secret
from freehold.serve.audit import AuditLog
from freehold.serve.gateway.keyring import KeyRing
from freehold.serve.state.key_fields import KeyChanges, NewKey
from freehold.serve.state.keys import KeyStore, new_key_id

Result = TypeVar("Result")

MAX_PAGE = 1000
NO_STORE = {"cache-control": "no-store"}
"""Of an answer with a secret in it."""


def keys_router(store: KeyStore, audit: AuditLog, keyring: KeyRing) -> APIRouter:
    """`/admin/v1/keys`; viewers read, administrators change. A change counts in this process when it is answered.

    Errors are raised as `FreeholdError`, wrong fields as `RequestValidationError` (see `invalid_request`).
    """
    guard = Depends(require_role(keyring, "viewer", to_change="admin"))
    router = APIRouter(prefix="/admin/v1/keys", tags=["keys"], dependencies=[guard])

    async def act(
        request: Request, name: str, key_id: str, details: dict[str, Any], work: Callable[[], Result]
    ) -> Result:
        def audited() -> Result:
            actor = request.state.principal.actor
            with audit.act(f"keys.{name}", actor=actor, target=key_id, origin=origin_of(request), details=details):
                return work()

        result = await run_in_threadpool(audited)
        await keyring.refresh()
        return result

    # Plain functions run on a thread, where the database may block.
    @router.get("")
    def list_keys(
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
        after: Annotated[str | None, Query(description="Id of the last key of the page before.")] = None,
        team: Annotated[str | None, Query(description="Only keys of this team.")] = None,
        include_revoked: bool = False,
    ) -> KeyList:
        records = store.list(team, include_revoked, after, limit + 1)
        data = [shown(record, time.time()) for record in records[:limit]]
        first, last = (data[0].id, data[-1].id) if data else (None, None)
        return KeyList(data=data, first_id=first, last_id=last, has_more=len(records) > limit)

    @router.post("", status_code=201)
    async def create_key(new: NewKey, request: Request, response: Response) -> CreatedKey:
        key_id = new_key_id()
        details = new.model_dump(mode="json", exclude_unset=True)
        record, secret = await act(request, "create", key_id, details, lambda: store.create(new, key_id))
        response.headers.update(NO_STORE)
        return with_secret(record, secret, time.time())

    @router.get("/{key_id}")
    def show_key(key_id: str) -> ShownKey:
        return shown(store.get(key_id), time.time())

    @router.patch("/{key_id}")
    async def update_key(key_id: str, changes: KeyChanges, request: Request) -> ShownKey:
        details = changes.model_dump(mode="json", exclude_unset=True)
        record = await act(request, "update", key_id, details, lambda: store.update(key_id, changes))
        return shown(record, time.time())

    @router.delete("/{key_id}")
    async def revoke_key(key_id: str, request: Request) -> ShownKey:
        record = await act(request, "revoke", key_id, {}, lambda: store.revoke(key_id))
        return shown(record, time.time())

    @router.post("/{key_id}/rotate")
    async def rotate_key(
        key_id: str, request: Request, response: Response, rotation: Rotation | None = None
    ) -> CreatedKey:
        grace_s = (rotation or Rotation()).grace_s
        details = {"grace_s": grace_s}
        record, secret = await act(request, "rotate", key_id, details, lambda: store.rotate(key_id, grace_s))
        response.headers.update(NO_STORE)
        return with_secret(record, secret, time.time())

    return router
