"""What is going on now, over HTTP, for whoever may look."""

import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from freehold.serve.admin.engines import ShownEngine, shown
from freehold.serve.engines.engine import Engine
from freehold.serve.loading.desk import ModelDesk
from freehold.serve.watching.series import GAP, INTERVAL_S, RECENT_S, Figures, Memory
from freehold.serve.watching.watch import Watch

MOST_SERIES = 50
"""Models whose series are told at most: the busiest, unless one is asked for by name."""

FIGURES = tuple(each.name for each in fields(Figures))


class WatchedEngine(ShownEngine):
    """An engine, and what it did within the last minute."""

    now: Figures
    """Rates and latencies over the last minute; null is not known, as a latency is where nothing was asked."""


class ShownGpu(BaseModel):
    """A GPU of the gateway's machine."""

    index: int
    name: str
    used_bytes: int
    total_bytes: int
    utilization: float | None


class Series(BaseModel):
    """Figures over time. A null is a time that was not watched, or something that was not measured then."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    at: list[float]
    """Epoch seconds."""
    models: dict[str, dict[str, list[float | None]]]
    """By model and figure."""
    gpus: dict[str, list[float | None]]
    """Bytes of memory in use, by GPU."""


class Overview(BaseModel):
    """How the gateway stands."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    object: Literal["overview"] = "overview"
    at: float
    """When it was read, epoch seconds."""
    interval_s: float = INTERVAL_S
    recent_s: float = RECENT_S
    engines: list[WatchedEngine]
    gpus: list[ShownGpu]
    """Of the machine that this gateway runs on; elsewhere they have exporters of their own."""
    series: Series


def overview_router(engines: Mapping[str, Engine], watch: Watch, desk: ModelDesk) -> APIRouter:
    """`/admin/v1/overview`; whoever mounts it lets viewers in."""
    router = APIRouter(prefix="/admin/v1/overview", tags=["engines"])

    @router.get("")
    async def show_overview(
        model: Annotated[list[str], Query(description="Series of these models; else of the busiest.")] = [],  # noqa: B006
    ) -> Overview:
        memory = await watch.look()
        latest = memory.latest
        assert latest is not None, "a look takes a reading"
        return Overview(
            at=latest.at,
            engines=[watched(engine, desk, memory.recent(name)) for name, engine in sorted(engines.items())],
            gpus=[ShownGpu(**asdict(gpu)) for gpu in latest.gpus],
            series=series(memory, model or busiest(memory)),
        )

    return router


def watched(engine: Engine, desk: ModelDesk, figures: Figures) -> WatchedEngine:
    """The engine with its figures."""
    return WatchedEngine(**shown(engine, desk).model_dump(), now=figures)


def busiest(memory: Memory) -> list[str]:
    """The models that had most requests while it was watched, by name."""
    work: dict[str, float] = {}
    for point in memory.points:
        for name, figures in point.figures.items():
            work[name] = work.get(name, 0.0) + (figures.requests_per_s or 0.0) + figures.in_flight
    return sorted(sorted(work, key=lambda name: -work[name])[:MOST_SERIES])


def series(memory: Memory, models: list[str]) -> Series:
    """The points as columns, with an empty row in every gap."""
    at: list[float] = []
    columns: dict[str, dict[str, list[float | None]]] = {name: {figure: [] for figure in FIGURES} for name in models}
    names = sorted({f"GPU {gpu.index}" for point in memory.points for gpu in point.gpus})
    gpus: dict[str, list[float | None]] = {name: [] for name in names}
    last = math.inf
    for point in memory.points:
        if point.at - last > GAP * INTERVAL_S:
            _add_gap(at, last + INTERVAL_S, columns, gpus)
        last = point.at
        at.append(point.at)
        for name, column in columns.items():
            figures = point.figures.get(name)
            for figure in FIGURES:
                column[figure].append(None if figures is None else getattr(figures, figure))
        used = {f"GPU {gpu.index}": float(gpu.used_bytes) for gpu in point.gpus}
        for name, values in gpus.items():
            values.append(used.get(name))
    return Series(at=at, models=columns, gpus=gpus)


def _add_gap(
    at: list[float],
    when: float,
    columns: dict[str, dict[str, list[float | None]]],
    gpus: dict[str, list[float | None]],
) -> None:
    at.append(when)
    for values in [*(each for column in columns.values() for each in column.values()), *gpus.values()]:
        values.append(None)
