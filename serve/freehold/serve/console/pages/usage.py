"""Usage: who used what, what it cost, and what the closed model would have cost."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from freehold.serve.console.console import Console
from freehold.serve.console.page import Page

PATH = "/admin/v1/usage"
ROWS = 50
GROUPS = ("team", "key", "model", "day", "route", "endpoint")
ORDERS = {
    "group": "Name",
    "money": "Cost",
    "requests": "Requests",
    "completion_tokens": "Generated tokens",
    "errors": "Errors",
}
DAYS = {"1d": "24 hours", "7d": "7 days", "30d": "30 days", "90d": "90 days"}
TEXTS = ("since", "until", "team", "key", "model")


@dataclass(frozen=True)
class Choice:
    """What somebody wants to see, as it stands in the page's address."""

    by: tuple[str, ...]
    given: dict[str, str]
    """Of TEXTS, those that are not empty."""
    order: str
    page: int

    @classmethod
    def of(cls, request: Request) -> "Choice":
        """Out of the address; what the API does not know of it, the API refuses."""
        query = request.query_params
        by = tuple(name for part in query.getlist("by") for name in part.split(",") if name)
        given = {name: query[name].strip() for name in TEXTS if query.get(name, "").strip()}
        number = query.get("page", "1")
        page = int(number) if number.isdecimal() and 0 < int(number) <= 2000 else 1
        return cls(by or ("team", "model"), {"since": "30d", **given}, query.get("order", "group"), page)

    def query(self, **changes: Any) -> dict[str, Any]:
        """For the API."""
        return {"by": ",".join(self.by), **self.given, **changes}

    def address(self, **changes: Any) -> str:
        """The page's query for the same with these changes."""
        return urlencode({"by": ",".join(self.by), **self.given, "order": self.order, "page": self.page, **changes})


def routes(console: Console, router: APIRouter) -> None:
    """`/console/usage`, its chart and its CSV."""

    @router.get("")
    async def show(request: Request) -> Response:
        choice, api = Choice.of(request), console.api(request)
        offset = (choice.page - 1) * ROWS
        report, totals = await asyncio.gather(
            api.get(PATH, **choice.query(limit=ROWS, offset=offset, order=choice.order)),
            api.get(PATH, **choice.query(by="")),
        )
        return console.render(
            request,
            "usage.html.jinja",
            choice=choice,
            report=report,
            total=totals["data"][0] if totals["data"] else None,
            last_page=max(1, -(-report["total"] // ROWS)),
            groups=GROUPS,
            orders=ORDERS,
            days=DAYS,
        )

    @router.get("/charts.json")
    async def charts(request: Request) -> Response:
        choice = Choice.of(request)
        report = await console.api(request).get(PATH, **choice.query(by="day"))
        return JSONResponse(charts_of(report))

    @router.get("/usage.csv")
    async def download(request: Request) -> Response:
        choice = Choice.of(request)
        answer = await console.api(request).send("GET", PATH, query=choice.query(format="csv"))
        headers = {"content-disposition": 'attachment; filename="usage.csv"'}
        return Response(answer.content, media_type=answer.headers["content-type"], headers=headers)


def charts_of(report: dict[str, Any]) -> dict[str, Any]:
    """Bars by day; a day without usage is zero, for nothing is what was used."""
    by_day = {row["day"]: row for row in report["data"]}
    days = _days(report["since"], report["until"])
    at = [epoch for _, epoch in days]

    def column(name: str) -> list[float | None]:
        return [by_day[day][name] if day in by_day else 0.0 for day, _ in days]

    tokens = [{"label": "Prompt", "values": column("prompt_tokens")}]
    tokens.append({"label": "Generated", "values": column("completion_tokens")})
    money = [{"label": "Own cost", "values": column("money")}]
    if any(row["replaced_money"] is not None for row in report["data"]):
        money.append({"label": "Closed list price, where known", "values": column("replaced_money")})
    unit = report["currency"]
    return {
        "tokens": {"unit": "tokens", "x": at, "series": tokens, "days": True, "bars": len(at) <= 2},
        "money": {"unit": unit, "x": at, "series": money, "days": True, "bars": len(at) <= 2},
    }


def _days(since: str, until: str) -> list[tuple[str, int]]:
    """Each day between two times in UTC, as the report writes it, with its beginning in epoch seconds."""
    start = datetime.fromisoformat(since).replace(hour=0, minute=0, second=0)
    end = datetime.fromisoformat(until)
    count = min(3660, max(1, -(-int((end - start).total_seconds()) // 86_400)))
    moments = [(start + timedelta(days=index)).astimezone(UTC) for index in range(count)]
    return [(moment.strftime("%Y-%m-%dT%H:%M:%SZ"), int(moment.timestamp())) for moment in moments]


USAGE = Page("usage", "Usage", routes)
