"""Evaluations: what runs found, slice by slice, the answers side by side, the report, and promotion."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import JSONResponse

from freehold.serve.admin.report_headers import REPORT_HEADERS
from freehold.serve.console.api import Api, ApiError
from freehold.serve.console.console import Console
from freehold.serve.console.page import Page
from freehold.serve.console.paths import quoted
from freehold.serve.console.security import CONTENT_SECURITY_POLICY

API = "/admin/v1/evaluations"
WITH_FRAME = {"content-security-policy": f"{CONTENT_SECURITY_POLICY}; frame-src 'self'"}
PROMPTS_SHOWN = 20


def routes(console: Console, router: APIRouter) -> None:
    """`/console/evaluations`."""

    @router.get("")
    async def show(request: Request) -> Response:
        found = await console.api(request).get(API)
        return console.render(request, "evaluations.html.jinja", found=found)

    @router.get("/{name}")
    async def show_evaluation(request: Request, name: str) -> Response:
        run = await console.api(request).get(f"{API}/{quoted(name)}")
        answer = console.render(request, "evaluation.html.jinja", run=run)
        answer.headers.update(WITH_FRAME)
        return answer

    @router.get("/{name}/charts.json")
    async def show_charts(request: Request, name: str) -> Response:
        return JSONResponse(await quality(console.api(request), name))

    @router.get("/{name}/answers")
    async def show_answers(
        request: Request, name: str, only: Annotated[str, Query(alias="slice")] = "", offset: int = 0
    ) -> Response:
        api, path = console.api(request), f"{API}/{quoted(name)}"
        run = await api.get(path)
        query = {"slice": only or None, "offset": offset, "limit": PROMPTS_SHOWN}
        found = await api.get(f"{path}/answers", **query)
        return console.render(request, "evaluation_answers.html.jinja", run=run, found=found, only=only, offset=offset)

    @router.get("/{name}/report")
    async def show_report(request: Request, name: str) -> Response:
        answer = await console.api(request).send("GET", f"{API}/{quoted(name)}/report")
        return Response(answer.content, media_type="text/html", headers=REPORT_HEADERS)

    @router.post("/{name}/promote")
    async def promote(
        request: Request,
        name: str,
        artifact: Annotated[str, Form()],
        accept_slices: Annotated[bool, Form()] = False,
    ) -> Response:
        body = {"artifact": artifact.strip(), "runs": [name], "accept_slices": accept_slices}
        done = await console.api(request).post(f"{API}/promote", body)
        return console.render(request, "promoted.html.jinja", done=done, name=name)


async def quality(api: Api, name: str) -> dict[str, Any]:
    """A chart of the scores so far; without a line until the run has begun."""
    chart: dict[str, Any] = {"unit": "points", "steps": True, "counts": "Answers", "most": 100, "x": [], "series": []}
    try:
        curve = await api.get(f"{API}/{quoted(name)}/curve")
    except ApiError as error:
        if error.http_status != 404:
            raise
        return {"quality": chart}
    means = [(target, [mean and 100 * mean for mean in each]) for target, each in curve["targets"].items()]
    series = [{"label": target, "values": each} for target, each in means if each]
    return {"quality": {**chart, "x": curve["answers"], "series": series}}


EVALUATIONS = Page("evaluations", "Evaluations", routes)
