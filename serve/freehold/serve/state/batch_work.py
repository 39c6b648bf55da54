"""Batches as the processes that work on them need them: taken under a lease, kept, moved on and ended.

Whoever holds a lease works on the batch alone. A process that dies renews no more, and another one takes the batch
over. Times are the database's. Functions run inside the caller's transaction.
"""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, case, delete, select, update

from freehold.serve.state.batches import BatchRecord, Status, get_batch
from freehold.serve.state.database import now
from freehold.serve.state.files import UNFINISHED
from freehold.serve.state.tables import BatchJobRow


def take_batch(
    connection: Connection, runner: str, lease_s: float, but_not: Collection[str] = ()
) -> BatchRecord | None:
    """The next batch that nobody works on, now the runner's; those that were left half-done come first.

    `but_not` are those that the runner is at work on, whose lease it may have been too late to renew.
    """
    time = now(connection)
    half_done_first = case((BatchJobRow.status == "validating", 1), else_=0)
    query = (
        select(BatchJobRow.id)
        .where(BatchJobRow.status.in_(UNFINISHED), BatchJobRow.lease_until < time, BatchJobRow.id.not_in(but_not))
        .order_by(half_done_first, BatchJobRow.created_at, BatchJobRow.id)
        .limit(1)
    )
    batch_id = connection.scalar(query.with_for_update(skip_locked=True))
    if batch_id is None:
        return None
    held = {"runner": runner, "lease_until": time + lease_s}
    connection.execute(update(BatchJobRow).where(BatchJobRow.id == batch_id).values(**held))
    return get_batch(connection, batch_id, None)


def keep_batch(
    connection: Connection, batch_id: str, runner: str, lease_s: float, **values: Any
) -> tuple[BatchRecord, float] | None:
    """Renew the lease and note `values`; the batch and the time, or None when it is over or somebody else's by now."""
    time = now(connection)
    renewal = (
        update(BatchJobRow)
        .where(BatchJobRow.id == batch_id, BatchJobRow.runner == runner, BatchJobRow.status.in_(UNFINISHED))
        .values(lease_until=time + lease_s, **values)
    )
    if not connection.execute(renewal).rowcount:
        return None
    return get_batch(connection, batch_id, None), time


def count_journal(connection: Connection, batch_id: str, before: int, after: int) -> bool:
    """Take bytes `before` to `after` of its journal as counted; False if they are not the next ones any more."""
    counting = update(BatchJobRow).where(BatchJobRow.id == batch_id, BatchJobRow.counted == before)
    return connection.execute(counting.values(counted=after)).rowcount > 0


def move_batch(
    connection: Connection, batch_id: str, runner: str, before: Status, after: Status, **values: Any
) -> bool:
    """Give a batch of this runner its next state; False when it has another one than `before`, or another runner."""
    time = now(connection)
    if after in ("in_progress", "finalizing"):
        values[f"{after}_at"] = time
    if after not in UNFINISHED:
        values |= {"finished_at": time, "runner": "", "lease_until": 0.0}
    moving = update(BatchJobRow).where(
        BatchJobRow.id == batch_id, BatchJobRow.runner == runner, BatchJobRow.status == before
    )
    return connection.execute(moving.values(status=after, **values)).rowcount > 0


def let_go_of_batch(connection: Connection, batch_id: str, runner: str) -> None:
    """Leave it to the next one who looks for work."""
    freed = update(BatchJobRow).where(BatchJobRow.id == batch_id, BatchJobRow.runner == runner)
    connection.execute(freed.values(runner="", lease_until=0.0))


def unfinished_batches(connection: Connection) -> set[str]:
    """Ids of those that are not over."""
    return set(connection.scalars(select(BatchJobRow.id).where(BatchJobRow.status.in_(UNFINISHED))))


def forget_old_batches(connection: Connection, older_than_s: float) -> int:
    """Drop those that ended so long ago; how many."""
    is_old = BatchJobRow.finished_at < now(connection) - older_than_s
    return connection.execute(delete(BatchJobRow).where(BatchJobRow.status.not_in(UNFINISHED), is_old)).rowcount
