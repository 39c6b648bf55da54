"""The overview: how the engines stand, and what they are doing now."""

from fastapi import APIRouter, Request, Response

from freehold.serve.console.console import Console
from freehold.serve.console.page import Page


def routes(console: Console, router: APIRouter) -> None:
    """`/console/overview`."""

    @router.get("")
    async def show(request: Request) -> Response:
        engines = await console.api(request).get("/admin/v1/engines")
        return console.render(request, "overview.html.jinja", engines=engines["data"])


OVERVIEW = Page("overview", "Overview", routes)
