"""Fine-tuning jobs in the database, as clients see them: made, listed, cancelled, and what happened to them.

Functions run inside the caller's transaction. `space` says whose jobs are meant; None means everybody's.
`tuning_work` holds what the processes that run them need.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, and_, func, insert, or_, select, update

from freehold.core.errors import NotFoundError, UserError
from freehold.serve.state.database import now
from freehold.serve.state.files import PENDING
from freehold.serve.state.tables import CheckpointRow, JobEventRow, JobRow

Status = Literal["validating_files", "queued", "running", "succeeded", "failed", "cancelled"]
Level = Literal["info", "warn", "error"]


class TooManyJobs(UserError):
    """A team has as many jobs waiting as it may."""

    http_status = 429
    code = "too_many_jobs"


class JobIsOver(UserError):
    """What was asked for needs a job that is still going on."""

    code = "job_is_over"


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be made."""

    id: str
    space: str
    key_id: str
    team: str
    model: str
    tuned_model: str
    training_file: str
    validation_file: str | None
    request: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord(NewJob):
    """Fields are the table's columns, explained there."""

    status: Status
    created_at: float
    finished_at: float | None
    error: dict[str, Any] | None
    artifact: str | None
    trained_tokens: int | None
    estimated_finish: float | None
    result_file: str | None
    runner: str
    lease_until: float
    attempts: int
    spent_s: float
    step: int

    @property
    def is_over(self) -> bool:
        return self.status not in PENDING


@dataclass(frozen=True, slots=True)
class Happening:
    """An event to be told."""

    message: str
    level: Level = "info"
    type: Literal["message", "metrics"] = "message"
    data: dict[str, Any] = field(default_factory=dict)
    at: float | None = None
    """When it happened; None is now."""


class EventRecord(NamedTuple):
    """Fields are the table's columns."""

    job_id: str
    number: int
    created_at: float
    level: Level
    type: str
    message: str
    data: dict[str, Any]


class CheckpointRecord(NamedTuple):
    """Fields are the table's columns."""

    job_id: str
    step: int
    created_at: float
    metrics: dict[str, Any]


COLUMNS = [getattr(JobRow, item.name) for item in fields(JobRecord)]
_EVENT = [getattr(JobEventRow, name) for name in EventRecord._fields]
_CHECKPOINT = [getattr(CheckpointRow, name) for name in CheckpointRecord._fields]
_PREFIX = "ftjob-"


def new_job_id() -> str:
    return f"{_PREFIX}{uuid.uuid4().hex[:24]}"


def create_job(connection: Connection, new: NewJob, most_pending: int) -> JobRecord:
    """The job, waiting for its files to be checked. Raises TooManyJobs."""
    pending = connection.scalar(
        select(func.count()).select_from(JobRow).where(JobRow.space == new.space, JobRow.status.in_(PENDING))
    )
    if (pending or 0) >= most_pending:
        raise TooManyJobs(
            "The job is not taken",
            why=f"{pending} of this team are waiting or running, and no more may",
            next_step="Wait for one to end, or cancel one.",
        )
    given = {item.name: getattr(new, item.name) for item in fields(new)}
    values = {"status": "validating_files", "created_at": now(connection), "runner": "", "lease_until": 0.0}
    counts = {"attempts": 0, "spent_s": 0.0, "step": 0, "events": 0}
    connection.execute(insert(JobRow).values(**given, **values, **counts))
    tell(connection, new.id, [Happening(f"Created fine-tuning job: {new.id}")])
    return get_job(connection, new.id, None)


def get_job(connection: Connection, job_id: str, space: str | None) -> JobRecord:
    """The job with this id. Raises NotFoundError, also for what is somebody else's."""
    query = select(*COLUMNS).where(JobRow.id == job_id, *_of(space))
    row = connection.execute(query).mappings().one_or_none() if _is_job_id(job_id) else None
    if row is None:
        raise NotFoundError(
            f"No fine-tuning job {job_id[:64]!r}", next_step="GET /v1/fine_tuning/jobs lists those of this key."
        )
    return JobRecord(**row)


def _is_job_id(text: str) -> bool:
    return len(text) == 30 and text.startswith(_PREFIX) and text.isascii() and text[6:].isalnum()


def list_jobs(
    connection: Connection,
    space: str | None,
    *,
    after: str | None = None,
    limit: int | None = None,
    metadata: Mapping[str, str] | None = None,
) -> list[JobRecord]:
    """Jobs, newest first; a page of `limit` that follows the job `after`. Raises NotFoundError for that one."""
    query = select(*COLUMNS).where(*_of(space)).order_by(JobRow.created_at.desc(), JobRow.id.desc()).limit(limit)
    for name, value in (metadata or {}).items():
        query = query.where(JobRow.request["metadata"][name].as_string() == value)
    if after is not None:
        last = get_job(connection, after, space)
        same = and_(JobRow.created_at == last.created_at, JobRow.id < last.id)
        query = query.where(or_(JobRow.created_at < last.created_at, same))
    return [JobRecord(**row) for row in connection.execute(query).mappings()]


def cancel_job(connection: Connection, job_id: str, space: str | None) -> JobRecord:
    """The job, cancelled; who runs it notices soon. Raises NotFoundError, and JobIsOver."""
    get_job(connection, job_id, space)
    ending = (
        update(JobRow)
        .where(JobRow.id == job_id, JobRow.status.in_(PENDING))
        .values(status="cancelled", finished_at=now(connection), estimated_finish=None)
    )
    if not connection.execute(ending).rowcount:
        status = get_job(connection, job_id, space).status
        raise JobIsOver(f"{job_id} cannot be cancelled", why=f"it is over: {status}")
    tell(connection, job_id, [Happening("Fine-tuning job cancelled")])
    return get_job(connection, job_id, space)


def tell(connection: Connection, job_id: str, happenings: Sequence[Happening]) -> None:
    """Add events to a job, in this order."""
    if not happenings:
        return
    # The lock of the job's row makes numbers follow each other, whoever else tells something.
    more = update(JobRow).where(JobRow.id == job_id).values(events=JobRow.events + len(happenings))
    last = connection.scalar(more.returning(JobRow.events))
    assert last is not None, "events are told of jobs that exist"
    time = now(connection)
    rows = [
        EventRecord(job_id, number, item.at or time, item.level, item.type, item.message, item.data)._asdict()
        for number, item in enumerate(happenings, last - len(happenings) + 1)
    ]
    connection.execute(insert(JobEventRow), rows)


def list_events(
    connection: Connection, job_id: str, *, before: int | None = None, limit: int | None = None
) -> list[EventRecord]:
    """Events of a job, newest first; a page of `limit` of those with lower numbers than `before`."""
    query = select(*_EVENT).where(JobEventRow.job_id == job_id).order_by(JobEventRow.number.desc()).limit(limit)
    if before is not None:
        query = query.where(JobEventRow.number < before)
    return [EventRecord(*row) for row in connection.execute(query)]


def list_checkpoints(
    connection: Connection, job_id: str, *, before: int | None = None, limit: int | None = None
) -> list[CheckpointRecord]:
    """Checkpoints of a job, latest first; a page of `limit` of those with lower steps than `before`."""
    query = select(*_CHECKPOINT).where(CheckpointRow.job_id == job_id).order_by(CheckpointRow.step.desc()).limit(limit)
    if before is not None:
        query = query.where(CheckpointRow.step < before)
    return [CheckpointRecord(*row) for row in connection.execute(query)]


def _of(space: str | None) -> list:  # type: ignore[type-arg]
    return [] if space is None else [JobRow.space == space]
