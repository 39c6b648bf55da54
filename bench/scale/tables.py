"""Tables of outcomes: a row for each thing that is compared, medians over seeds with smallest and largest."""

import statistics
from collections.abc import Callable, Mapping, Sequence

from bench.scale.running import Outcome

Figure = Callable[[Outcome], float]

TTFT_P50 = "TTFT p50, ms"
TTFT_P99 = "TTFT p99, ms"
FIGURES: dict[str, tuple[Figure, str]] = {
    TTFT_P50: (lambda one: one.seen.first_ms(50), "{:,.0f}"),
    TTFT_P99: (lambda one: one.seen.first_ms(99), "{:,.0f}"),
    "found in cache": (lambda one: one.seen.hit_rate * 100, "{:.1f} %"),
    "answered tokens/s": (lambda one: one.seen.answer_tokens, "{:,.0f}"),
    "imbalance": (lambda one: one.seen.imbalance, "{:.2f}"),
    "adapter swaps": (lambda one: one.seen.swaps, "{:,.0f}"),
    "engine hours": (lambda one: one.engine_hours, "{:.1f}"),
    "held": (lambda one: one.held, "{:,.0f}"),
    "first token after 5 s": (lambda one: one.seen.over(5.0) * 100, "{:.2f} %"),
}


def table(head: str, rows: Mapping[str, Sequence[Outcome]], figures: Sequence[str], seconds: float = 1.0) -> list[str]:
    """`seconds` is the time that counted, for figures per second."""
    lines = [f"| {head} | {' | '.join(figures)} |", "|---|" + "---|" * len(figures)]
    for name, found in rows.items():
        cells = [_cell(found, figure, seconds) for figure in figures]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _cell(found: Sequence[Outcome], figure: str, seconds: float) -> str:
    of, shape = FIGURES[figure]
    values = sorted(of(one) / (seconds if figure.endswith("/s") else 1.0) for one in found)
    low, middle, high = (shape.format(value) for value in (values[0], statistics.median(values), values[-1]))
    return middle if low == high else f"**{middle}** ({low}–{high})"
