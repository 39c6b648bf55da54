"""Pulls, quantizations and evaluations over HTTP; every act is audited."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool

from freehold.serve.admin.access import require_role
from freehold.serve.admin.evaluations import audited
from freehold.serve.audit import AuditLog
from freehold.serve.gateway.keyring import KeyRing
from freehold.serve.jobs.desk import JobDesk
from freehold.serve.jobs.folder import LAST_LINES_BYTES, JobRecord, State, told
from freehold.serve.jobs.kinds import Wanted, suites


class ShownJob(BaseModel):
    """A job of the house. Times are epoch seconds."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    object: Literal["job"] = "job"
    id: str
    kind: Literal["pull", "quantize", "evaluate"]
    title: str
    """What it is about: a model, an artifact, a suite."""
    wanted: dict[str, Any]
    """As it was asked for."""
    state: State
    """`interrupted`: its process is gone; start it again."""
    actor: str
    created_at: int
    started_at: int | None
    ended_at: int | None
    attempts: int
    error: str
    progress: str
    """The last line of its log."""
    share: float | None
    """How much is done, from 0 to 1, where that line tells."""
    evaluation: str | None
    """Of an evaluation: the name of its run below `/admin/v1/evaluations`, which is there once it has begun."""


class JobDetail(ShownJob):
    """The same with its log."""

    log: str
    """Its end, at most 256 KiB."""


class JobList(BaseModel):
    """Jobs, newest first, and the suites that an evaluation may be started of."""

    object: Literal["list"] = "list"
    data: list[ShownJob]
    has_more: bool
    suites: list[str]


def jobs_router(desk: JobDesk, audit: AuditLog, keyring: KeyRing) -> APIRouter:
    """`/admin/v1/jobs`; viewers look, operators act. Errors are raised as `FreeholdError`."""
    guard = Depends(require_role(keyring, "viewer", to_change="operator"))
    router = APIRouter(prefix="/admin/v1/jobs", tags=["jobs"], dependencies=[guard])

    # Plain functions: folders are read on a thread.
    @router.get("")
    def list_jobs(
        kind: Literal["pull", "quantize", "evaluate"] | None = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> JobList:
        found = [job for job in desk.list() if kind in (None, job.wanted.kind)]
        data = [ShownJob(**_fields(job, desk.said(job.id, LAST_LINES_BYTES))) for job in found[:limit]]
        return JobList(data=data, has_more=len(found) > limit, suites=suites(desk.settings.home))

    @router.post("", status_code=201)
    async def start_job(wanted: Wanted, request: Request) -> ShownJob:
        details = wanted.model_dump(mode="json", exclude_none=True)

        async def work() -> JobRecord:
            return await desk.start(wanted, request.state.principal.actor)

        return await shown(await audited(audit, request, "jobs.start", wanted.title, details, work))

    @router.get("/{job_id}")
    def show_job(job_id: str) -> JobDetail:
        log = desk.said(job_id)
        return JobDetail(**_fields(desk.get(job_id), log), log=log)

    @router.post("/{job_id}/cancel")
    async def cancel_job(job_id: str, request: Request) -> ShownJob:
        return await shown(await audited(audit, request, "jobs.cancel", job_id, {}, lambda: desk.cancel(job_id)))

    @router.post("/{job_id}/resume")
    async def resume_job(job_id: str, request: Request) -> ShownJob:
        actor = request.state.principal.actor
        return await shown(await audited(audit, request, "jobs.resume", job_id, {}, lambda: desk.resume(job_id, actor)))

    async def shown(job: JobRecord) -> ShownJob:
        return ShownJob(**_fields(job, await run_in_threadpool(desk.said, job.id, LAST_LINES_BYTES)))

    return router


def _fields(job: JobRecord, log: str) -> dict[str, Any]:
    progress = told(log)
    return {
        "id": job.id,
        "kind": job.wanted.kind,
        "title": job.wanted.title,
        "wanted": job.wanted.model_dump(mode="json", exclude_none=True),
        "state": job.state,
        "actor": job.actor,
        "created_at": int(job.created_at),
        "started_at": None if job.started_at is None else int(job.started_at),
        "ended_at": None if job.ended_at is None else int(job.ended_at),
        "attempts": job.attempts,
        "error": job.error,
        "progress": progress.text,
        "share": 1.0 if job.state == "succeeded" else progress.share,
        "evaluation": job.wanted.run_name(job.id) if job.wanted.kind == "evaluate" else None,
    }
