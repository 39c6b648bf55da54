"""Batches as JSON, in OpenAI's shape: https://platform.openai.com/docs/api-reference/batch/object"""

from typing import Any, Literal

from pydantic import BaseModel

from freehold.serve.batches.requests import WINDOW
from freehold.serve.state.batches import BatchRecord


class LineError(BaseModel):
    """What is wrong with a line, or with the file where `line` is null."""

    code: str
    line: int | None
    message: str
    param: str | None


class LineErrors(BaseModel):
    """What is wrong, in the order of lines."""

    object: Literal["list"] = "list"
    data: list[LineError]


class RequestCounts(BaseModel):
    """Lines; those of neither kind were not answered."""

    total: int
    completed: int
    failed: int


class Batch(BaseModel):
    """A batch. Times are epoch seconds."""

    id: str
    object: Literal["batch"] = "batch"
    endpoint: str
    errors: LineErrors | None
    input_file_id: str
    completion_window: str
    status: str
    output_file_id: str | None
    error_file_id: str | None
    created_at: int
    in_progress_at: int | None
    expires_at: int
    finalizing_at: int | None
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelling_at: int | None
    cancelled_at: int | None
    request_counts: RequestCounts
    metadata: dict[str, str] | None


class BatchList(BaseModel):
    """One page of batches, newest first."""

    object: Literal["list"] = "list"
    data: list[Batch]
    first_id: str | None
    last_id: str | None
    has_more: bool


def shown(record: BatchRecord) -> Batch:
    """The batch as clients see it."""
    ended: dict[str, Any] = dict.fromkeys(("completed_at", "failed_at", "expired_at", "cancelled_at"))
    if record.is_over:
        ended[f"{record.status}_at"] = _seconds(record.finished_at)
    return Batch(
        id=record.id,
        endpoint=record.endpoint,
        errors=None if record.errors is None else LineErrors(**record.errors),
        input_file_id=record.input_file,
        completion_window=WINDOW,
        status=record.status,
        output_file_id=record.output_file,
        error_file_id=record.error_file,
        created_at=int(record.created_at),
        in_progress_at=_seconds(record.in_progress_at),
        expires_at=int(record.expires_at),
        finalizing_at=_seconds(record.finalizing_at),
        cancelling_at=_seconds(record.cancelling_at),
        request_counts=RequestCounts(total=record.total, completed=record.completed, failed=record.failed),
        metadata=record.request["metadata"],
        **ended,
    )


def _seconds(time: float | None) -> int | None:
    return None if time is None else int(time)
