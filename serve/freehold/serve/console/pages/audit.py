"""The audit log: who did what, from the console, the API and the command line."""

from fastapi import APIRouter, Request, Response

from freehold.serve.console.console import Console
from freehold.serve.console.page import Page

ROWS = 200


def routes(console: Console, router: APIRouter) -> None:
    """`/console/audit`."""

    @router.get("")
    async def show(request: Request) -> Response:
        query = request.query_params
        wanted = {name: query.get(name, "").strip() or None for name in ("since", "act", "actor")}
        found = await console.api(request).get("/admin/v1/audit", limit=ROWS, **wanted)
        return console.render(request, "audit.html.jinja", acts=found, query=query)


AUDIT = Page("audit", "Audit log", routes, needs="admin")
