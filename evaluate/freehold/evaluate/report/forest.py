"""The chart of a comparison: a dot and an interval per slice, beside the line of no difference."""

import math
from collections.abc import Callable
from html import escape

from freehold.evaluate.report.wording import points
from freehold.evaluate.statistics.comparison import Comparison, SliceResult

WIDTH, ROW, TOP, LEFT, RIGHT, BOTTOM = 800, 24, 12, 220, 24, 28
COLOURS = {"worse": "#c62828", "better": "#2e7d32", "": "currentColor"}


def forest(comparison: Comparison, margin: float) -> str:
    """An SVG; the dashed line is what may be lost."""
    slices = comparison.slices
    widest = max(margin, *(max(abs(one.interval.low), abs(one.interval.high)) for one in slices))
    reach = math.ceil(max(widest, 0.01) * 20) / 20  # in steps of five points
    height = TOP + ROW * len(slices) + BOTTOM

    def x(value: float) -> float:
        return round(LEFT + (value + reach) / (2 * reach) * (WIDTH - LEFT - RIGHT), 1)

    foot = height - BOTTOM + 4
    ticks = [-reach, -reach / 2, 0.0, reach / 2, reach]
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="Difference by slice, with intervals">',
        *(f'<line class="grid" x1="{x(tick)}" x2="{x(tick)}" y1="{TOP}" y2="{foot}"/>' for tick in ticks),
        _across(x(0), foot, ""),
        _across(x(-margin), foot, ' stroke-dasharray="4 4"'),
        *(
            f'<text x="{x(tick)}" y="{height - 8}" text-anchor="middle">{"+" if tick > 0 else ""}{points(tick)}</text>'
            for tick in ticks
        ),
        *(_row(one, number, comparison, x) for number, one in enumerate(slices)),
    ]
    return "".join([*parts, "</svg>"])


def _across(place: float, foot: int, more: str) -> str:
    return f'<line x1="{place}" x2="{place}" y1="{TOP}" y2="{foot}" stroke="currentColor"{more}/>'


def _row(one: SliceResult, number: int, comparison: Comparison, x: Callable[[float], float]) -> str:
    y = TOP + ROW * number + ROW / 2
    kind = "worse" if one in comparison.worse else "better" if one in comparison.better else ""
    colour = COLOURS[kind]
    low, high = x(one.interval.low), x(one.interval.high)
    return (
        f'<text x="{LEFT - 10}" y="{y + 4}" text-anchor="end">{escape(one.name[:34])}</text>'
        f'<line x1="{low}" x2="{high}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="2"/>'
        f'<circle cx="{x(one.difference)}" cy="{y}" r="4.5" fill="{colour}"/>'
    )
