"""Jobs, events and checkpoints as JSON, in OpenAI's shape.

https://platform.openai.com/docs/api-reference/fine-tuning/object
"""

from typing import Any, Literal

from pydantic import BaseModel

from freehold.serve.state.tuning import CheckpointRecord, EventRecord, JobRecord

ORGANIZATION = "freehold"


class JobError(BaseModel):
    """Why a job failed."""

    code: str
    message: str
    param: str | None


class TuningJob(BaseModel):
    """A job. Times are epoch seconds."""

    id: str
    object: Literal["fine_tuning.job"] = "fine_tuning.job"
    model: str
    created_at: int
    finished_at: int | None
    fine_tuned_model: str | None
    organization_id: str
    result_files: list[str]
    status: str
    training_file: str
    validation_file: str | None
    hyperparameters: dict[str, Any]
    method: dict[str, Any]
    seed: int
    trained_tokens: int | None
    estimated_finish: int | None
    error: JobError | None
    integrations: list[Any]
    metadata: dict[str, str] | None
    user_provided_suffix: str | None


class JobList(BaseModel):
    """One page of jobs."""

    object: Literal["list"] = "list"
    data: list[TuningJob]
    has_more: bool


class TuningEvent(BaseModel):
    """Something that happened to a job; `data` of the type `metrics` has the numbers of a step."""

    id: str
    object: Literal["fine_tuning.job.event"] = "fine_tuning.job.event"
    created_at: int
    level: str
    message: str
    type: str
    data: dict[str, Any]


class EventList(BaseModel):
    """One page of events, newest first."""

    object: Literal["list"] = "list"
    data: list[TuningEvent]
    has_more: bool


class Checkpoint(BaseModel):
    """What was measured at a step. Only the last one is served, as the job's model."""

    id: str
    object: Literal["fine_tuning.job.checkpoint"] = "fine_tuning.job.checkpoint"
    created_at: int
    fine_tuned_model_checkpoint: str
    fine_tuning_job_id: str
    metrics: dict[str, Any]
    step_number: int


class CheckpointList(BaseModel):
    """One page of checkpoints, latest first."""

    object: Literal["list"] = "list"
    data: list[Checkpoint]
    first_id: str | None
    last_id: str | None
    has_more: bool


def shown_job(job: JobRecord) -> TuningJob:
    """The job as clients see it."""
    method = job.request["method"]
    return TuningJob(
        id=job.id,
        model=job.model,
        created_at=int(job.created_at),
        finished_at=_seconds(job.finished_at),
        fine_tuned_model=job.tuned_model if job.status == "succeeded" else None,
        organization_id=job.team or ORGANIZATION,
        result_files=[job.result_file] if job.result_file else [],
        status=job.status,
        training_file=job.training_file,
        validation_file=job.validation_file,
        hyperparameters=method[method["type"]]["hyperparameters"],
        method=method,
        seed=job.request["seed"],
        trained_tokens=job.trained_tokens,
        estimated_finish=_seconds(job.estimated_finish),
        error=None if job.error is None else JobError(**job.error),
        integrations=[],
        metadata=job.request["metadata"],
        user_provided_suffix=job.request["suffix"],
    )


def shown_event(event: EventRecord) -> TuningEvent:
    """The event as clients see it."""
    return TuningEvent(
        id=event_id(event.job_id, event.number),
        created_at=int(event.created_at),
        level=event.level,
        message=event.message,
        type=event.type,
        data=event.data,
    )


def shown_checkpoint(job: JobRecord, checkpoint: CheckpointRecord, *, is_last: bool) -> Checkpoint:
    """The checkpoint as clients see it; `is_last` is that of the model that is served."""
    is_served = is_last and job.status == "succeeded"
    return Checkpoint(
        id=checkpoint_id(job.id, checkpoint.step),
        created_at=int(checkpoint.created_at),
        fine_tuned_model_checkpoint=job.tuned_model if is_served else f"{job.tuned_model}:ckpt-step-{checkpoint.step}",
        fine_tuning_job_id=job.id,
        metrics=checkpoint.metrics,
        step_number=checkpoint.step,
    )


def event_id(job_id: str, number: int) -> str:
    return f"ftevent-{job_id.partition('-')[2]}-{number}"


def checkpoint_id(job_id: str, step: int) -> str:
    return f"ftckpt_{job_id.partition('-')[2]}_{step}"


def number_in(identifier: str, prefix: str) -> int | None:
    """The number that ends an id of this prefix; None for another id."""
    digits = identifier.removeprefix(prefix)
    is_number = identifier.startswith(prefix) and digits.isascii() and digits.isdigit() and len(digits) < 16
    return int(digits) if is_number else None


def _seconds(time: float | None) -> int | None:
    return None if time is None else int(time)
