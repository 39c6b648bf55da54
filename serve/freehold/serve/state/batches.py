"""Batches in the database, as clients see them: made, listed, cancelled.

Functions run inside the caller's transaction. `space` says whose batches are meant; None means everybody's.
`batch_work` holds what the processes that work on them need.
"""

import uuid
from dataclasses import dataclass, fields
from typing import Any, Literal

from sqlalchemy import Connection, and_, func, insert, or_, select, update

from freehold.core.errors import NotFoundError, UserError
from freehold.serve.state.database import now
from freehold.serve.state.files import UNFINISHED
from freehold.serve.state.tables import BatchJobRow

Status = Literal["validating", "in_progress", "finalizing", "cancelling", "completed", "failed", "expired", "cancelled"]


class TooManyBatches(UserError):
    """A team has as many batches going on as it may."""

    http_status = 429
    code = "too_many_batches"


class BatchIsOver(UserError):
    """What was asked for needs a batch that is still going on."""

    code = "batch_is_over"


@dataclass(frozen=True, slots=True)
class NewBatch:
    """A batch to be made."""

    space: str
    key_id: str
    endpoint: str
    input_file: str
    request: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRecord(NewBatch):
    """Fields are the table's columns, explained there."""

    id: str
    status: Status
    created_at: float
    expires_at: float
    in_progress_at: float | None
    finalizing_at: float | None
    cancelling_at: float | None
    finished_at: float | None
    total: int
    completed: int
    failed: int
    counted: int
    errors: dict[str, Any] | None
    output_file: str | None
    error_file: str | None
    runner: str
    lease_until: float

    @property
    def is_over(self) -> bool:
        return self.status not in UNFINISHED


_COLUMNS = [getattr(BatchJobRow, item.name) for item in fields(BatchRecord)]
_PREFIX = "batch_"


def create_batch(connection: Connection, new: NewBatch, window_s: float, most_unfinished: int) -> BatchRecord:
    """The batch, waiting for its lines to be checked. Raises TooManyBatches."""
    going_on = connection.scalar(
        select(func.count())
        .select_from(BatchJobRow)
        .where(BatchJobRow.space == new.space, BatchJobRow.status.in_(UNFINISHED))
    )
    if (going_on or 0) >= most_unfinished:
        raise TooManyBatches(
            "The batch is not taken",
            why=f"{going_on} of this team are not over, and no more may be",
            next_step="Wait for one to end, or cancel one.",
        )
    time = now(connection)
    batch_id = f"{_PREFIX}{uuid.uuid4().hex[:24]}"
    given = {item.name: getattr(new, item.name) for item in fields(new)}
    values = {"id": batch_id, "status": "validating", "created_at": time, "expires_at": time + window_s}
    counts = {"total": 0, "completed": 0, "failed": 0, "counted": 0}
    connection.execute(insert(BatchJobRow).values(**given, **values, **counts, runner="", lease_until=0.0))
    return get_batch(connection, batch_id, None)


def get_batch(connection: Connection, batch_id: str, space: str | None) -> BatchRecord:
    """The batch with this id. Raises NotFoundError, also for what is somebody else's."""
    query = select(*_COLUMNS).where(BatchJobRow.id == batch_id, *_of(space))
    row = connection.execute(query).mappings().one_or_none() if _is_batch_id(batch_id) else None
    if row is None:
        raise NotFoundError(f"No batch {batch_id[:64]!r}", next_step="GET /v1/batches lists those of this key.")
    return BatchRecord(**row)


def _is_batch_id(text: str) -> bool:
    return len(text) == 30 and text.startswith(_PREFIX) and text.isascii() and text[6:].isalnum()


def list_batches(
    connection: Connection, space: str | None, *, after: str | None = None, limit: int | None = None
) -> list[BatchRecord]:
    """Batches, newest first; a page of `limit` that follows the batch `after`. Raises NotFoundError for that one."""
    order = (BatchJobRow.created_at.desc(), BatchJobRow.id.desc())
    query = select(*_COLUMNS).where(*_of(space)).order_by(*order).limit(limit)
    if after is not None:
        last = get_batch(connection, after, space)
        same = and_(BatchJobRow.created_at == last.created_at, BatchJobRow.id < last.id)
        query = query.where(or_(BatchJobRow.created_at < last.created_at, same))
    return [BatchRecord(**row) for row in connection.execute(query).mappings()]


def cancel_batch(connection: Connection, batch_id: str, space: str | None) -> BatchRecord:
    """The batch, about to be cancelled; who works on it notices soon. Raises NotFoundError, and BatchIsOver."""
    get_batch(connection, batch_id, space)
    ending = (
        update(BatchJobRow)
        .where(BatchJobRow.id == batch_id, BatchJobRow.status.in_(("validating", "in_progress")))
        .values(status="cancelling", cancelling_at=now(connection))
    )
    is_ending = connection.execute(ending).rowcount > 0
    batch = get_batch(connection, batch_id, space)
    if not is_ending and batch.status != "cancelling":
        raise BatchIsOver(f"{batch_id} cannot be cancelled", why=f"its status is {batch.status}")
    return batch


def _of(space: str | None) -> list:  # type: ignore[type-arg]
    return [] if space is None else [BatchJobRow.space == space]
