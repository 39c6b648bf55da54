"""What an answer costs beside how good it is."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from freehold.evaluate.results import Answered

SOLVED_AT = 1.0
"""A prompt with this score is solved."""


@dataclass(frozen=True)
class Efficiency:
    """One target's means and sums; None where nothing was told."""

    target: str
    answers: int
    score: float
    """Mean, from 0 to 1."""
    solved: int
    failed: int
    """Answers that did not come, refusals included."""
    tokens_per_solved: float | None
    """Generated tokens of every answer, right or wrong, for each that is right."""
    cost_per_solved: float | None
    """In the suite's currency, likewise."""
    cost_per_1000: float | None
    """Of a thousand answers."""
    latency_p50_s: float | None
    latency_p95_s: float | None


def efficiency(answers: Iterable[Answered], target: str, solved_at: float = SOLVED_AT) -> Efficiency:
    """Sum up one target's answers. Those that were skipped count nowhere."""
    mine = [(one, score) for one in answers if one.target == target and (score := one.score) is not None]
    solved = sum(score >= solved_at for _, score in mine)
    tokens = [one.usage.completion for one, _ in mine if one.usage is not None]
    costs = [one.cost for one, _ in mine if one.cost is not None]
    latencies = [one.latency_s for one, _ in mine if one.latency_s is not None]
    return Efficiency(
        target,
        answers=len(mine),
        score=sum(score for _, score in mine) / len(mine) if mine else 0.0,
        solved=solved,
        failed=sum(one.outcome != "answered" for one, _ in mine),
        tokens_per_solved=sum(tokens) / solved if tokens and solved else None,
        cost_per_solved=sum(costs) / solved if costs and solved else None,
        cost_per_1000=1000 * sum(costs) / len(costs) if costs else None,
        latency_p50_s=float(np.quantile(latencies, 0.5)) if latencies else None,
        latency_p95_s=float(np.quantile(latencies, 0.95)) if latencies else None,
    )
