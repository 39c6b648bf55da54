"""The overview: how the engines stand, what they are doing now, and what they did in the last quarter of an hour."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from freehold.serve.console.console import Console
from freehold.serve.console.page import Page

PATH = "/admin/v1/overview"
MOST_LINES = 6
"""Models in one chart; more cannot be told apart."""
GIB = 2**30

CHARTS = {
    "tokens": ("completion_tokens_per_s", "tokens/s", 1.0, None),
    "in_flight": ("in_flight", "requests", 1.0, None),
    "waiting": ("waiting", "requests", 1.0, None),
    "ttft": ("ttft_p95_s", "ms", 1000.0, None),
    "inter_token": ("inter_token_p95_s", "ms", 1000.0, None),
    "kv": ("kv_usage", "%", 100.0, 100),
    "errors": ("errors_per_s", "errors/min", 60.0, None),
}
"""By chart: the figure, its unit, what it is multiplied by, and the end of its axis if that is known."""


def routes(console: Console, router: APIRouter) -> None:
    """`/console/overview`, its live part and its charts."""

    @router.get("")
    async def show(request: Request) -> Response:
        overview = await console.api(request).get(PATH)
        return console.render(request, "overview.html.jinja", **_values(overview))

    @router.get("/live")
    async def live(request: Request) -> Response:
        overview = await console.api(request).get(PATH)
        return console.render(request, "_engines.html.jinja", **_values(overview))

    @router.get("/charts.json")
    async def charts(request: Request) -> Response:
        overview = await console.api(request).get(PATH)
        return JSONResponse(charts_of(overview))


def _values(overview: dict[str, Any]) -> dict[str, Any]:
    engines = overview["engines"]
    now = [engine["now"] for engine in engines if engine["kind"] == "model"]
    totals = {
        name: sum(figures[name] or 0 for figures in now)
        for name in ("in_flight", "waiting", "requests_per_s", "errors_per_s", "completion_tokens_per_s")
    }
    ready = sum(engine["state"] == "ready" for engine in engines)
    return {"overview": overview, "engines": engines, "totals": totals, "ready": ready}


def charts_of(overview: dict[str, Any]) -> dict[str, Any]:
    """What the page's charts show: a line for each of the busiest models, and one for each GPU."""
    series = overview["series"]
    lines = _busiest(series["models"])
    found: dict[str, Any] = {}
    for chart, (figure, unit, factor, most) in CHARTS.items():
        found[chart] = {
            "unit": unit,
            "most": most,
            "x": series["at"],
            "series": [{"label": name, "values": _scaled(series["models"][name][figure], factor)} for name in lines],
        }
    gpus = [{"label": name, "values": _scaled(values, 1 / GIB)} for name, values in series["gpus"].items()]
    total = max((gpu["total_bytes"] for gpu in overview["gpus"]), default=0) / GIB
    found["gpus"] = {"unit": "GiB", "most": total or None, "x": series["at"], "series": gpus}
    return found


def _busiest(models: dict[str, dict[str, list[float | None]]]) -> list[str]:
    def work(name: str) -> float:
        return sum(value or 0.0 for figure in ("requests_per_s", "in_flight") for value in models[name][figure])

    return sorted(sorted(models, key=work, reverse=True)[:MOST_LINES])


def _scaled(values: list[float | None], factor: float) -> list[float | None]:
    return [None if value is None else value * factor for value in values]


OVERVIEW = Page("overview", "Overview", routes)
