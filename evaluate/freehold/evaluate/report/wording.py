"""How the report writes numbers: the same in the page and in Markdown."""

from collections.abc import Sequence

from freehold.evaluate.statistics.comparison import Comparison, SliceResult
from freehold.evaluate.statistics.efficiency import Efficiency

SLICE_HEAD = (
    "slice",
    "prompts",
    "baseline",
    "candidate",
    "difference",
    "interval",
    "won / lost",
    "adjusted p",
    "visible",
)
EFFICIENCY_HEAD = (
    "target",
    "score",
    "solved",
    "no answer",
    "tokens per solved",
    "cost per solved",
    "cost per 1,000",
    "p50 s",
    "p95 s",
)


def slice_row(one: SliceResult, comparison: Comparison) -> tuple[str, ...]:
    """Scores and differences in points of 100."""
    flag = " ▼" if one in comparison.worse else " ▲" if one in comparison.better else ""
    return (
        one.name + flag,
        str(one.prompts),
        points(one.baseline),
        points(one.candidate),
        signed(one.difference),
        f"{signed(one.interval.low)} … {signed(one.interval.high)}",
        f"{one.won} / {one.lost}",
        p_value(one.p_adjusted),
        points(one.visible),
    )


def efficiency_row(one: Efficiency, currency: str) -> tuple[str, ...]:
    return (
        one.target,
        points(one.score),
        f"{one.solved} of {one.answers}",
        str(one.failed),
        _number(one.tokens_per_solved, "{:,.0f}"),
        _number(one.cost_per_solved, "{:.5f} " + currency),
        _number(one.cost_per_1000, "{:.3f} " + currency),
        _number(one.latency_p50_s, "{:.2f}"),
        _number(one.latency_p95_s, "{:.2f}"),
    )


def notes(comparison: Comparison, margin: float) -> Sequence[str]:
    """What the columns of a slice table mean."""
    parts = len(comparison.slices)
    return (
        f"Points of 100; differences are {comparison.candidate} less {comparison.baseline}, prompt by prompt.",
        f"The {parts} intervals hold together at {1 - comparison.alpha:.1%}, by paired bootstrap; p is McNemar's or of "
        f"flipped signs, adjusted by Holm over all {parts}. ▼ worse, ▲ better at {comparison.alpha:.1%}.",
        f"As good means that the interval leaves no more than {points(margin)} points to lose. "
        "Visible is the smallest difference that so many prompts show four times in five.",
    )


def points(share: float) -> str:
    return f"{100 * share:.1f}"


def signed(share: float) -> str:
    return f"{100 * share:+.1f}"


def p_value(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)
