"""Curves over steps, laid out once for both pictures: SVG inside a page, and a PNG."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

Curve = Sequence[tuple[int, float]]

WIDTH, HEIGHT = 800, 320
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 16, 32
TICKS = 5


@dataclass(frozen=True)
class Line:
    """One curve and how it looks."""

    name: str
    color: str
    points: Curve
    width: float = 1.5


@dataclass(frozen=True)
class Layout:
    """Where steps and values lie on the picture, in pixels."""

    first: int
    last: int
    low: float
    high: float

    @classmethod
    def of(cls, lines: Sequence[Line]) -> "Layout":
        steps = [step for line in lines for step, _ in line.points] or [0, 1]
        values = [value for line in lines for _, value in line.points if math.isfinite(value)] or [0.0, 1.0]
        low, high = min(values), max(values)
        margin = (high - low or abs(high) or 1.0) * 0.05
        return cls(min(steps), max(max(steps), min(steps) + 1), max(0.0, low - margin), high + margin)

    def x(self, step: float) -> float:
        return LEFT + (step - self.first) / (self.last - self.first) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - (value - self.low) / (self.high - self.low) * (HEIGHT - TOP - BOTTOM)

    def path(self, points: Curve) -> list[tuple[float, float]]:
        return [(self.x(step), self.y(value)) for step, value in points if math.isfinite(value)]

    def value_ticks(self) -> list[float]:
        return [self.low + (self.high - self.low) * index / (TICKS - 1) for index in range(TICKS)]

    def step_ticks(self) -> list[int]:
        return sorted({round(self.first + (self.last - self.first) * index / (TICKS - 1)) for index in range(TICKS)})


def smoothed(points: Curve, share: float = 0.9) -> list[tuple[int, float]]:
    """An exponential mean without a bias towards the start."""
    mean, weight, found = 0.0, 0.0, []
    for step, value in points:
        mean, weight = share * mean + (1 - share) * value, share * weight + (1 - share)
        found.append((step, mean / weight))
    return found


def svg(lines: Sequence[Line], by: str = "step") -> str:
    """The chart as one `<svg>` element, readable in light and dark."""
    layout = Layout.of(lines)
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(_names(lines))} by {escape(by)}">']
    for value in layout.value_ticks():
        y = layout.y(value)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>')
    for step in layout.step_ticks():
        parts.append(f'<text x="{layout.x(step):.1f}" y="{HEIGHT - 10}" text-anchor="middle">{step}</text>')
    for line in lines:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in layout.path(line.points))
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{line.color}" stroke-width="{line.width}">'
            f"<title>{escape(line.name)}</title></polyline>"
        )
    return "".join([*parts, "</svg>"])


def legend(lines: Sequence[Line]) -> str:
    """The names of the curves in their colours, as HTML."""
    return " ".join(f'<span style="color:{line.color}">● {escape(line.name)}</span>' for line in lines)


def _names(lines: Sequence[Line]) -> str:
    return ", ".join(line.name for line in lines)
