"""The report as one page with nothing from elsewhere: charts, tables, and the answers side by side."""

from collections.abc import Iterable
from importlib.resources import files

import jinja2

from freehold.core.chart.page import STYLE
from freehold.evaluate.report.document import Report, SideBySide
from freehold.evaluate.report.forest import forest
from freehold.evaluate.report.wording import (
    EFFICIENCY_HEAD,
    SLICE_HEAD,
    efficiency_row,
    notes,
    points,
    signed,
    slice_row,
)

TEMPLATE = "page.html.jinja"


def as_page(report: Report) -> str:
    """HTML. Every text of a model or a prompt is escaped."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(files("freehold.evaluate.report").joinpath(TEMPLATE).read_text())
    return template.render(
        report=report,
        style=STYLE,
        slice_head=SLICE_HEAD,
        slice_row=slice_row,
        efficiency_head=EFFICIENCY_HEAD,
        efficiency_row=efficiency_row,
        forest=forest,
        notes=notes,
        points=points,
        signed=signed,
        dimensions=_dimensions,
    )


def _dimensions(rows: Iterable[SideBySide]) -> list[str]:
    """Every `dimension=value` among the rows, sorted."""
    return sorted({f"{name}={value}" for row in rows for name, value in row.slices.items()})
