"""Mean scores by target and slice, and what they cost."""

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from freehold.evaluate.results.record import Answered

ALL = "all"


def mean_rows(answers: Sequence[Answered], slices: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """A row for each target as a whole, then for each of its slices. What was skipped counts in no mean."""
    names = slices if slices is not None else sorted({name for one in answers for name in one.slices})
    rows = []
    for target in dict.fromkeys(one.target for one in answers):
        own = [one for one in answers if one.target == target]
        rows.append(_row(target, ALL, own))
        for name in names:
            for value in sorted({one.slices[name] for one in own if name in one.slices}):
                rows.append(_row(target, f"{name}={value}", [one for one in own if one.slices.get(name) == value]))
    return rows


def _row(target: str, part: str, answers: Sequence[Answered]) -> dict[str, Any]:
    outcomes = Counter(one.outcome for one in answers)
    usages = [one.usage for one in answers if one.usage]
    costs = [one.cost for one in answers if one.cost is not None]
    return {
        "target": target,
        "slice": part,
        "score": _mean(score for one in answers if (score := one.score) is not None),
        "answered": outcomes["answered"],
        "refused": outcomes["refused"],
        "failed": outcomes["failed"],
        "skipped": outcomes["skipped"],
        "tokens": sum(usage.prompt + usage.completion for usage in usages),
        "cost": round(sum(costs), 9) if costs else None,
        "scores": {
            name: _mean(_of(name, answers)) for name in sorted({name for one in answers for name in one.scores})
        },
    }


def _of(name: str, answers: Iterable[Answered]) -> list[float]:
    return [one.scores[name].value for one in answers if name in one.scores]


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return round(statistics.fmean(found), 6) if found else None
