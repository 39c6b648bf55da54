"""The files of `/v1/files` in the database: set aside, made whole, listed, deleted; and what they may take together.

Functions run inside the caller's transaction. `space` says whose files are meant; None means everybody's.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

from sqlalchemy import Connection, and_, delete, func, insert, or_, select, text, update

from freehold.core.errors import NotFoundError, UserError
from freehold.serve.state.database import now
from freehold.serve.state.tables import BatchJobRow, FileRow, JobRow

ADVISORY_LOCK = 0x46494C45
"""Of PostgreSQL: what is left of a quota must not be given to two uploads at once."""
PENDING = ("validating_files", "queued", "running")
"""States of a job that still needs its files."""
UNFINISHED = ("validating", "in_progress", "finalizing", "cancelling")
"""States of a batch that still needs its input."""
UPLOAD_LIMIT_S = 86_400.0
"""An upload that has not ended by then never will: its process died."""


class StorageFull(UserError):
    """A file does not fit any more."""

    code = "storage_quota_exceeded"
    param = "file"


class FileInUse(UserError):
    """A job or a batch that is not over needs the file."""

    code = "file_in_use"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRecord:
    """Fields are the table's columns, explained there."""

    id: str
    space: str
    key_id: str
    filename: str
    purpose: str
    size_bytes: int
    sha256: str
    kind: str
    created_at: float
    expires_at: float | None


@dataclass(frozen=True)
class StorageQuota:
    """What files may take, in bytes."""

    space_bytes: int
    total_bytes: int


_COLUMNS = [getattr(FileRow, field.name) for field in fields(FileRecord)]
_IS_WHOLE = FileRow.sha256 != ""


def new_file_id() -> str:
    return f"file-{uuid.uuid4().hex[:24]}"


def reserve_file(connection: Connection, space: str, key_id: str, size_bytes: int, quota: StorageQuota) -> str:
    """Set room aside for a file that is about to arrive; its id. Raises StorageFull."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("select pg_advisory_xact_lock(:number)"), {"number": ADVISORY_LOCK})
    require_room(connection, space, size_bytes, quota)
    row = FileRecord(
        id=new_file_id(),
        space=space,
        key_id=key_id,
        filename="",
        purpose="",
        size_bytes=size_bytes,
        sha256="",
        kind="",
        created_at=now(connection),
        expires_at=None,
    )
    connection.execute(insert(FileRow).values({field.name: getattr(row, field.name) for field in fields(row)}))
    return row.id


def require_room(connection: Connection, space: str, size_bytes: int, quota: StorageQuota) -> None:
    """Raises StorageFull unless a file of this size would fit now."""
    used = select(func.coalesce(func.sum(FileRow.size_bytes), 0))
    _check(
        "the files of this team", connection.scalar(used.where(FileRow.space == space)), size_bytes, quota.space_bytes
    )
    _check("all files together", connection.scalar(used), size_bytes, quota.total_bytes)


def _check(whose: str, used: int | None, wanted: int, limit: int) -> None:
    if (used or 0) + wanted > limit:
        raise StorageFull(
            "The file does not fit",
            why=f"it may take {wanted} bytes, and {whose} take {used or 0} of {limit}",
            next_step="Delete files that are not needed (DELETE /v1/files/{id}).",
        )


def complete_file(
    connection: Connection,
    file_id: str,
    *,
    filename: str,
    purpose: str,
    size_bytes: int,
    sha256: str,
    kind: str,
    lifetime_s: float | None = None,
) -> FileRecord:
    """The file, whole. Raises NotFoundError if its upload took so long that it was given up."""
    begun = get_file(connection, file_id, None, in_any_state=True)
    expires_at = None if lifetime_s is None else begun.created_at + lifetime_s
    values = {"filename": filename, "purpose": purpose, "size_bytes": size_bytes, "sha256": sha256, "kind": kind}
    connection.execute(update(FileRow).where(FileRow.id == file_id).values(expires_at=expires_at, **values))
    return get_file(connection, file_id, None)


def get_file(
    connection: Connection,
    file_id: str,
    space: str | None,
    *,
    among: Sequence[str] | None = None,
    in_any_state: bool = False,
) -> FileRecord:
    """The file with this id, and a purpose `among` these.

    Raises NotFoundError, also for what is somebody else's, torn or expired.
    """
    query = select(*_COLUMNS).where(FileRow.id == file_id, *_visible(connection, space, in_any_state))
    if among is not None:
        query = query.where(FileRow.purpose.in_(among))
    row = connection.execute(query).mappings().one_or_none() if is_file_id(file_id) else None
    if row is None:
        raise NotFoundError(f"No file {file_id[:64]!r}", next_step="GET /v1/files lists those of this key.")
    return FileRecord(**row)


def is_file_id(text: str) -> bool:
    """Whether it could be one; anything else is no matter for the database."""
    return len(text) == 29 and text.startswith("file-") and text.isascii() and text[5:].isalnum()


def list_files(
    connection: Connection,
    space: str | None,
    *,
    purpose: str | None = None,
    among: Sequence[str] | None = None,
    after: str | None = None,
    order: Literal["asc", "desc"] = "desc",
    limit: int | None = None,
) -> list[FileRecord]:
    """Whole files by their creation, a page of `limit` that follows the file `after`. Raises NotFoundError for it."""
    query = select(*_COLUMNS).where(*_visible(connection, space)).limit(limit)
    if purpose is not None:
        query = query.where(FileRow.purpose == purpose)
    if among is not None:
        query = query.where(FileRow.purpose.in_(among))
    if after is not None:
        last = get_file(connection, after, space)
        is_before = FileRow.created_at < last.created_at if order == "desc" else FileRow.created_at > last.created_at
        is_beside = FileRow.id < last.id if order == "desc" else FileRow.id > last.id
        query = query.where(or_(is_before, and_(FileRow.created_at == last.created_at, is_beside)))
    keys = (FileRow.created_at, FileRow.id)
    query = query.order_by(*(key.desc() if order == "desc" else key.asc() for key in keys))
    return [FileRecord(**row) for row in connection.execute(query).mappings()]


def delete_file(connection: Connection, file_id: str, space: str | None) -> FileRecord:
    """What was deleted. Raises NotFoundError, and FileInUse while a job needs it."""
    record = get_file(connection, file_id, space)
    needs_it = or_(JobRow.training_file == file_id, JobRow.validation_file == file_id)
    jobs = select(JobRow.id).where(needs_it, JobRow.status.in_(PENDING))
    batches = select(BatchJobRow.id).where(BatchJobRow.input_file == file_id, BatchJobRow.status.in_(UNFINISHED))
    if user := connection.scalar(jobs.limit(1)) or connection.scalar(batches.limit(1)):
        raise FileInUse(f"{file_id} is in use", why=f"{user} is not over", next_step="Cancel that first, or wait.")
    forget_file(connection, file_id)
    return record


def forget_file(connection: Connection, file_id: str) -> None:
    """Drop the row, whatever its state."""
    connection.execute(delete(FileRow).where(FileRow.id == file_id))


def forget_spent_files(connection: Connection) -> list[str]:
    """Drop files that have expired and uploads whose process died; their ids. What a job or a batch needs stays."""
    time = now(connection)
    needed = select(JobRow.training_file).where(JobRow.status.in_(PENDING))
    also_needed = select(JobRow.validation_file).where(JobRow.status.in_(PENDING), JobRow.validation_file.is_not(None))
    is_spent = or_(FileRow.expires_at <= time, and_(~_IS_WHOLE, FileRow.created_at < time - UPLOAD_LIMIT_S))
    asked = select(BatchJobRow.input_file).where(BatchJobRow.status.in_(UNFINISHED))
    unused = [FileRow.id.not_in(which) for which in (needed, also_needed, asked)]
    query = select(FileRow.id).where(is_spent, *unused)
    spent = list(connection.scalars(query))
    if spent:
        connection.execute(delete(FileRow).where(FileRow.id.in_(spent)))
    return spent


def known_files(connection: Connection) -> set[str]:
    """Ids of every file that has a row."""
    return set(connection.scalars(select(FileRow.id)))


def _visible(connection: Connection, space: str | None, in_any_state: bool = False) -> list:  # type: ignore[type-arg]
    whole = [] if in_any_state else [_IS_WHOLE, or_(FileRow.expires_at.is_(None), FileRow.expires_at > now(connection))]
    return whole if space is None else [*whole, FileRow.space == space]
