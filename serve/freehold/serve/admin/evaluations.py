"""Evaluations over HTTP: runs and their numbers, what was answered, the report, and promotion; acts are audited."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from freehold.core.errors import NotFoundError, UserError
from freehold.serve.admin.access import origin_of, require_role
from freehold.serve.admin.report_headers import REPORT_HEADERS
from freehold.serve.audit import AuditLog
from freehold.serve.evidence.answers import Compared, compared, slices_of
from freehold.serve.evidence.curve import curve_of
from freehold.serve.evidence.promotion import Promoter
from freehold.serve.evidence.runs import REPORT, Run, Runs
from freehold.serve.gateway.errors import NotAllowed
from freehold.serve.gateway.keyring import KeyRing

MAX_PAGE = 200


class ShownRun(BaseModel):
    """A run of `freehold evaluate`."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    object: Literal["evaluation"] = "evaluation"
    name: str
    """Of its folder."""
    suite: str
    targets: list[str]
    baseline: str
    state: Literal["running", "finished", "stopped"]
    """A stopped one goes on with `freehold evaluate --resume`."""
    started: str
    finished: str
    artifacts: dict[str, str]
    """Which artifact a target said that it serves, by target."""
    prompts: int
    answers: int
    expected: int
    """Answers of a whole run."""
    decisions: dict[str, str]
    """By candidate; empty without a report."""
    is_recorded: bool
    """Its prompts come from recorded traffic, which administrators alone may read."""
    has_report: bool


class RunDetail(ShownRun):
    """The same with its numbers."""

    slices: list[str]
    report: dict[str, Any] | None
    """As `report.json` has it (docs/evaluate.md)."""


class RunList(BaseModel):
    """Runs, newest first."""

    object: Literal["list"] = "list"
    data: list[ShownRun]
    has_more: bool


class ShownCurve(BaseModel):
    """How the scores of a run come out, answer by answer; at most 200 points."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    object: Literal["curve"] = "curve"
    answers: list[int]
    """Of how many answers each mean is."""
    targets: dict[str, list[float | None]]
    """Mean scores from 0 to 1, by target; null where a target has fewer answers."""


class ShownSide(BaseModel):
    """One target's answer to a prompt; of several samples the first, with the mean of their scores."""

    target: str
    outcome: str
    text: str
    score: float | None
    why: list[str]
    latency_s: float | None
    cost: float | None


class ShownCompared(BaseModel):
    """A prompt and what came of it."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    prompt: str
    asked: str
    expected: str
    slices: dict[str, str]
    sides: list[ShownSide]
    lost: float
    """How much worse the worst target is than the baseline, or than the best without one."""


class ComparedList(BaseModel):
    """Prompts with the answers of all targets, the largest losses first."""

    object: Literal["list"] = "list"
    data: list[ShownCompared]
    total: int
    has_more: bool


class NewPromotion(BaseModel):
    """What shall be promoted, and by which runs."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    artifact: Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[A-Za-z0-9][\w.@:+-]*$")]
    runs: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=256)], ...], Field(min_length=1, max_length=50)]
    """Names of evaluations."""
    suites: tuple[Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^-\s]\S*$")], ...] = ()
    """Suites that must be among them."""
    accept_slices: bool = False
    """Also where it can replace the baseline for some slices only."""


class Promotion(BaseModel):
    """Suites that the artifact is promoted with now."""

    object: Literal["promotion"] = "promotion"
    artifact: str
    evaluations: list[dict[str, Any]]


def evaluations_router(runs: Runs, promoter: Promoter, audit: AuditLog, keyring: KeyRing) -> APIRouter:
    """`/admin/v1/evaluations`: viewers see numbers, operators read answers and promote.

    What clients said, in runs of recorded traffic, administrators alone read.
    """
    router = APIRouter(prefix="/admin/v1/evaluations", tags=["evaluations"])
    viewer, operator = Depends(require_role(keyring, "viewer")), Depends(require_role(keyring, "operator"))

    async def readable(request: Request, name: str) -> Run:
        """The run, once it is written down who read it. Raises NotAllowed for clients' words without that right."""
        run = await run_in_threadpool(runs.get, name)
        principal = request.state.principal

        def read() -> None:
            with audit.act("evaluations.read", actor=principal.actor, target=name, origin=origin_of(request)):
                if run.is_recorded and not principal.is_admin:
                    raise NotAllowed(
                        f"{principal.actor} may not read the answers of {name}",
                        why="its prompts are what clients sent to the gateway",
                        next_step="An administrator may, or evaluate with prompts of your own.",
                        code="role_too_low",
                    )

        await run_in_threadpool(read)
        return run

    # Plain functions: folders are read on a thread.
    @router.get("", dependencies=[viewer])
    def list_evaluations(limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> RunList:
        found = runs.list()
        return RunList(data=[ShownRun(**_fields(run)) for run in found[:limit]], has_more=len(found) > limit)

    @router.post("/promote", dependencies=[operator])
    async def promote_artifact(new: NewPromotion, request: Request) -> Promotion:
        details = new.model_dump(mode="json", exclude={"artifact"})

        async def work() -> list[dict[str, Any]]:
            found = [await run_in_threadpool(runs.get, name) for name in new.runs]
            folders = [run.path for run in found]
            return await promoter.promote(new.artifact, folders, new.suites, accept_slices=new.accept_slices)

        rows = await audited(audit, request, "evaluations.promote", new.artifact, details, work)
        return Promotion(artifact=rows[0]["artifact"] if rows else new.artifact, evaluations=rows)

    @router.get("/{name}", dependencies=[viewer])
    def show_evaluation(name: str) -> RunDetail:
        run = runs.get(name)
        return RunDetail(**_fields(run), slices=slices_of(run), report=runs.numbers(run))

    @router.get("/{name}/curve", dependencies=[viewer])
    def show_curve(name: str) -> ShownCurve:
        return ShownCurve(**vars(curve_of(runs.get(name))))

    @router.get("/{name}/answers", dependencies=[operator])
    async def compare_answers(
        name: str,
        request: Request,
        only: Annotated[str | None, Query(alias="slice", description="`dimension=value`.")] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 20,
        offset: Annotated[int, Query(ge=0)] = 0,
    ) -> ComparedList:
        run = await readable(request, name)
        found = await run_in_threadpool(compared, run, only)
        page = found[offset : offset + limit]
        return ComparedList(
            data=[_compared(one) for one in page], total=len(found), has_more=len(found) > offset + limit
        )

    @router.get("/{name}/report", response_class=HTMLResponse, dependencies=[operator])
    async def show_report(name: str, request: Request) -> HTMLResponse:
        run = await readable(request, name)
        if not run.has_report:
            raise NotFoundError(
                f"{name} has no report", why="it compares nothing, or is not over", next_step="See docs/evaluate.md."
            )
        page = await run_in_threadpool((run.path / REPORT).read_bytes)
        return HTMLResponse(page, headers=REPORT_HEADERS)

    return router


async def audited(
    audit: AuditLog,
    request: Request,
    act: str,
    target: str,
    details: dict[str, Any],
    work: Callable[[], Awaitable[Any]],
) -> Any:
    """Do an act that does not block, and write down how it ended. Raises AuditUnavailable before it begins."""
    await run_in_threadpool(audit.check)
    actor, origin = request.state.principal.actor, origin_of(request)
    outcome, said = "done", dict(details)
    try:
        return await work()
    except BaseException as error:
        outcome = "refused" if _is_refusal(error) else "failed"
        said["error"] = getattr(error, "code", type(error).__name__)
        raise
    finally:
        await run_in_threadpool(
            lambda: audit.record(act, actor=actor, target=target, outcome=outcome, origin=origin, details=said)  # type: ignore[arg-type]
        )


def _is_refusal(error: BaseException) -> bool:
    return isinstance(error, UserError) or 400 <= getattr(error, "http_status", 500) < 500


def _fields(run: Run) -> dict[str, Any]:
    return {name: getattr(run, name) for name in ShownRun.model_fields if hasattr(run, name)}


def _compared(one: Compared) -> ShownCompared:
    sides = [ShownSide(**{**vars(side), "why": list(side.why)}) for side in one.sides]
    return ShownCompared(**{**vars(one), "sides": sides})
