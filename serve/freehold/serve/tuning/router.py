"""`/v1/fine_tuning/jobs`."""

import re
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from freehold.serve.admin.queries import named_once
from freehold.serve.config import TuningConfig
from freehold.serve.gateway.errors import RequestError
from freehold.serve.state.database import Database
from freehold.serve.state.tuning import cancel_job, get_job, list_checkpoints, list_events, list_jobs
from freehold.serve.tuning.creating import create_tuning_job
from freehold.serve.tuning.objects import (
    CheckpointList,
    EventList,
    JobList,
    TuningJob,
    checkpoint_id,
    event_id,
    number_in,
    shown_checkpoint,
    shown_event,
    shown_job,
)
from freehold.serve.tuning.requests import NewTuningJob
from freehold.serve.tuning.spaces import Space, Spaces

MAX_PAGE = 1000
_METADATA = re.compile(r"metadata\[([A-Za-z0-9_.-]{1,64})\]")
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]
After = Annotated[str | None, Query(description="Id of the last one of the page before.")]


def tuning_router(database: Database, config: TuningConfig, whose: Spaces) -> APIRouter:
    """Create, list, show and cancel jobs, and say what happened to them; each within the caller's space."""
    router = APIRouter(prefix="/v1/fine_tuning/jobs", tags=["fine-tuning"], dependencies=[Depends(named_once())])
    Caller = Annotated[Space, Depends(whose)]  # noqa: N806

    # Plain functions run on a thread, where the database may block.
    @router.post("")
    def create_fine_tuning_job(wanted: NewTuningJob, caller: Caller) -> TuningJob:
        return shown_job(create_tuning_job(database, config, caller, wanted))

    @router.get("")
    def list_fine_tuning_jobs(request: Request, caller: Caller, after: After = None, limit: Limit = 20) -> JobList:
        metadata = _metadata(request)
        jobs = database.call(
            lambda connection: list_jobs(connection, caller.visible, after=after, limit=limit + 1, metadata=metadata)
        )
        return JobList(data=[shown_job(job) for job in jobs[:limit]], has_more=len(jobs) > limit)

    @router.get("/{job_id}")
    def show_fine_tuning_job(job_id: str, caller: Caller) -> TuningJob:
        return shown_job(database.call(lambda connection: get_job(connection, job_id, caller.visible)))

    @router.post("/{job_id}/cancel")
    def cancel_fine_tuning_job(job_id: str, caller: Caller) -> TuningJob:
        return shown_job(database.call(lambda connection: cancel_job(connection, job_id, caller.visible)))

    @router.get("/{job_id}/events")
    def list_fine_tuning_events(job_id: str, caller: Caller, after: After = None, limit: Limit = 20) -> EventList:
        job = database.call(lambda connection: get_job(connection, job_id, caller.visible))
        before = _place(after, event_id(job.id, 0)[:-1])
        events = database.call(lambda connection: list_events(connection, job.id, before=before, limit=limit + 1))
        return EventList(data=[shown_event(event) for event in events[:limit]], has_more=len(events) > limit)

    @router.get("/{job_id}/checkpoints")
    def list_fine_tuning_checkpoints(
        job_id: str, caller: Caller, after: After = None, limit: Limit = 10
    ) -> CheckpointList:
        job = database.call(lambda connection: get_job(connection, job_id, caller.visible))
        before = _place(after, checkpoint_id(job.id, 0)[:-1])
        found = database.call(lambda connection: list_checkpoints(connection, job.id, before=before, limit=limit + 1))
        data = [
            shown_checkpoint(job, checkpoint, is_last=before is None and index == 0)
            for index, checkpoint in enumerate(found[:limit])
        ]
        first, last = (data[0].id, data[-1].id) if data else (None, None)
        return CheckpointList(data=data, first_id=first, last_id=last, has_more=len(found) > limit)

    @router.post("/{job_id}/pause")
    def pause_fine_tuning_job(job_id: str, caller: Caller) -> TuningJob:
        raise _unsupported(database, job_id, caller, "paused")

    @router.post("/{job_id}/resume")
    def resume_fine_tuning_job(job_id: str, caller: Caller) -> TuningJob:
        raise _unsupported(database, job_id, caller, "resumed")

    return router


def _metadata(request: Request) -> dict[str, str]:
    """`metadata[name]=value` of the query."""
    found = {}
    for name, value in request.query_params.items():
        match = _METADATA.fullmatch(name)
        if name.startswith("metadata") and (match is None or not value.isprintable()):
            raise RequestError(
                "The filter by metadata is not right",
                why="it has the form metadata[name]=value, with letters, digits, `.`, `_` and `-` in the name",
                code="invalid_request",
                param="metadata",
            )
        if match is not None:
            found[match[1]] = value
    return found


def _place(after: str | None, prefix: str) -> int | None:
    """The number in the id that a page follows. Raises RequestError for an id of something else."""
    if after is None:
        return None
    number = number_in(after, prefix)
    if number is None:
        raise RequestError(
            "There is nothing of this job to follow", why=f"{after[:64]!r} is none of its ids", code="invalid_request",
            param="after",
        )  # fmt: skip
    return number


def _unsupported(database: Database, job_id: str, caller: Space, verb: str) -> RequestError:
    database.call(lambda connection: get_job(connection, job_id, caller.visible))
    return RequestError(
        f"A job cannot be {verb}",
        why="a job that leaves its GPU would have to wait for one again behind all others",
        next_step="Cancel it, or let it run.",
        code="not_supported",
    )
