"""Fine-tuning jobs as the processes that run them need them: taken under a lease, kept, moved on and ended.

Whoever holds a lease works on the job alone. A process that dies renews no more, and another one takes the job over.
Times are the database's. Functions run inside the caller's transaction.
"""

from collections.abc import Collection, Sequence
from typing import Any, Literal

from sqlalchemy import Connection, and_, case, insert, or_, select, update

from freehold.serve.state.database import now
from freehold.serve.state.files import PENDING
from freehold.serve.state.tables import CheckpointRow, JobRow
from freehold.serve.state.tuning import Happening, JobRecord, Status, get_job, tell

Stage = Literal["check", "train"]


def take_job(
    connection: Connection, runner: str, stage: Stage, lease_s: float, but_not: Collection[str] = ()
) -> JobRecord | None:
    """The next job of this stage, first come first served, one that was left half-done before all; now the runner's.

    `but_not` are those that the runner is at work on, whose lease it may have been too late to renew.
    """
    time = now(connection)
    is_free = and_(JobRow.lease_until < time, JobRow.id.not_in(but_not))
    if stage == "check":
        wanted = and_(JobRow.status == "validating_files", is_free)
    else:
        wanted = or_(JobRow.status == "queued", and_(JobRow.status == "running", is_free))
    half_done_first = case((JobRow.status == "running", 0), else_=1)
    query = select(JobRow.id).where(wanted).order_by(half_done_first, JobRow.created_at, JobRow.id).limit(1)
    job_id = connection.scalar(query.with_for_update(skip_locked=True))
    if job_id is None:
        return None
    held: dict[str, Any] = {"runner": runner, "lease_until": time + lease_s}
    if stage == "train":
        held |= {"status": "running", "attempts": JobRow.attempts + 1}
    connection.execute(update(JobRow).where(JobRow.id == job_id).values(**held))
    return get_job(connection, job_id, None)


def keep_job(
    connection: Connection,
    job_id: str,
    runner: str,
    lease_s: float,
    spent_s: float,
    happenings: Sequence[Happening] = (),
) -> JobRecord | None:
    """Renew the lease and tell what happened; the job, or None when it is over or somebody else's by now."""
    renewal = (
        update(JobRow)
        .where(JobRow.id == job_id, JobRow.runner == runner, JobRow.status.in_(PENDING))
        .values(lease_until=now(connection) + lease_s, spent_s=spent_s)
    )
    if not connection.execute(renewal).rowcount:
        return None
    tell(connection, job_id, happenings)
    return get_job(connection, job_id, None)


def note_progress(
    connection: Connection, job_id: str, *, step: int, trained_tokens: int | None, estimated_finish: float | None
) -> None:
    """How far a job is. Only its runner calls this, in the transaction of `keep_job`."""
    values = {"step": step, "trained_tokens": trained_tokens, "estimated_finish": estimated_finish}
    connection.execute(update(JobRow).where(JobRow.id == job_id).values(**values))


def note_checkpoint(connection: Connection, job_id: str, step: int, metrics: dict[str, Any]) -> None:
    """Remember a checkpoint; one of the same step, from before a restart, stays as it is."""
    known = select(CheckpointRow.step).where(CheckpointRow.job_id == job_id, CheckpointRow.step == step)
    if connection.scalar(known) is None:
        row = {"job_id": job_id, "step": step, "created_at": now(connection), "metrics": metrics}
        connection.execute(insert(CheckpointRow).values(**row))


def let_go(connection: Connection, job_id: str, runner: str) -> None:
    """Leave a job that is not over to the next one who looks for work; it was interrupted, which counts for nothing."""
    again = update(JobRow).where(JobRow.id == job_id, JobRow.runner == runner, JobRow.status == "running")
    connection.execute(again.values(attempts=JobRow.attempts - 1))
    freed = update(JobRow).where(JobRow.id == job_id, JobRow.runner == runner)
    connection.execute(freed.values(runner="", lease_until=0.0))


def move_job(
    connection: Connection,
    job_id: str,
    runner: str,
    status: Status,
    happenings: Sequence[Happening],
    **values: Any,
) -> bool:
    """Give a job of this runner its next state and let go of it; False when it is over or somebody else's by now."""
    if status not in PENDING:
        values |= {"finished_at": now(connection), "estimated_finish": None}
    moving = (
        update(JobRow)
        .where(JobRow.id == job_id, JobRow.runner == runner, JobRow.status.in_(PENDING))
        .values(status=status, runner="", lease_until=0.0, **values)
    )
    if not connection.execute(moving).rowcount:
        return False
    tell(connection, job_id, happenings)
    return True
