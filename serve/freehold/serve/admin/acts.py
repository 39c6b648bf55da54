"""The audit log over HTTP, for administrators: who did what, to what, and how it ended."""

import time
from collections import deque
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from freehold.core.errors import NotFoundError
from freehold.serve.audit import AuditLog
from freehold.serve.audit_reading import AuditReading, Wanted
from freehold.serve.state.moments import parse_moment

MOST = 1000


class ShownAct(BaseModel):
    """An administrative act."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    time: str
    """ISO 8601, UTC."""
    act: str
    actor: str
    target: str
    outcome: str
    """`done`, `refused`, or `failed`: how far that came is not known."""
    origin: str
    """The client's address, or `local`."""
    details: dict[str, Any] = {}


class ActList(BaseModel):
    """Acts, the newest first."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    object: Literal["list"] = "list"
    data: list[ShownAct]
    total: int
    """How many match; the oldest of them may be left out."""
    unreadable: int
    """Lines of the log that are no record."""


def acts_router(audit: AuditLog) -> APIRouter:
    """`/admin/v1/audit`, of the machine that answers; whoever mounts it lets administrators alone in."""
    router = APIRouter(prefix="/admin/v1/audit", tags=["audit"])

    # A plain function: the file is read on a thread.
    @router.get("")
    def list_acts(
        since: Annotated[str | None, Query(description="`7d`, a day or a time in UTC; everything.")] = None,
        act: Annotated[str, Query(description="`keys.create`, or `keys` for all acts on keys.")] = "",
        actor: Annotated[str, Query(description="Who acted.")] = "",
        limit: Annotated[int, Query(ge=1, le=MOST)] = 100,
    ) -> ActList:
        start = None if since is None else datetime.fromtimestamp(parse_moment(since, time.time(), name="since"), UTC)
        wanted = Wanted(start, act, actor)
        reading, newest, total = AuditReading(audit.path), deque[dict[str, Any]](maxlen=limit), 0
        try:
            for record in reading.records(wanted):
                newest.append(record)
                total += 1
        except NotFoundError:
            pass  # nothing was administered yet
        data = [ShownAct.model_validate(record) for record in reversed(newest)]
        return ActList(data=data, total=total, unreadable=len(reading.unreadable))

    return router
