"""Everything that a report says, before it has a form."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from freehold.core.errors import UserError
from freehold.evaluate.results import Answered
from freehold.evaluate.statistics.comparison import compare
from freehold.evaluate.statistics.efficiency import SOLVED_AT, Efficiency, efficiency
from freehold.evaluate.statistics.pairs import pair
from freehold.evaluate.verdict import Judgement, judge
from freehold.evaluate.verdict.judging import MARGIN

MOST_SHOWN = 500
"""Prompts that stand side by side in the page, of each candidate: the rest are in `answers.jsonl`."""


@dataclass(frozen=True)
class Asked:
    """A prompt as the report shows it."""

    text: str
    expected: str = ""


@dataclass(frozen=True)
class SideBySide:
    """One prompt and what both targets made of it."""

    prompt: str
    asked: Asked
    slices: Mapping[str, str]
    baseline: Sequence[Answered]
    """A line per sample."""
    candidate: Sequence[Answered]
    difference: float
    """Of the mean scores, candidate less baseline."""


@dataclass(frozen=True)
class Candidate:
    """One target beside the baseline."""

    name: str
    judgement: Judgement
    shown: tuple[SideBySide, ...]
    """The worst regressions first."""
    left_out: int
    """Prompts that both answered and that are not shown."""


@dataclass(frozen=True)
class Report:
    """One suite's results."""

    suite: str
    baseline: str
    seed: int
    currency: str
    candidates: tuple[Candidate, ...]
    efficiency: tuple[Efficiency, ...]
    """The baseline's first."""
    skipped: int
    """Answers that were not asked for, since the budget was spent."""


def build_report(
    answers: Iterable[Answered],
    asked: Mapping[str, Asked],
    *,
    suite: str,
    baseline: str,
    candidates: Sequence[str],
    margin: float = MARGIN,
    alpha: float = 0.05,
    seed: int = 0,
    solved_at: float = SOLVED_AT,
    currency: str = "EUR",
) -> Report:
    """Compare each candidate with the baseline. Several candidates share `alpha` evenly.

    Raises UserError where a candidate has no prompt in common with the baseline.
    """
    lines = sorted(answers, key=lambda one: (one.prompt, one.target, one.sample))
    share = alpha / max(len(candidates), 1)
    return Report(
        suite,
        baseline,
        seed,
        currency,
        tuple(_candidate(lines, asked, baseline, name, margin, share, seed) for name in candidates),
        tuple(efficiency(lines, name, solved_at) for name in (baseline, *candidates)),
        sum(one.outcome == "skipped" for one in lines),
    )


def _candidate(
    lines: Sequence[Answered],
    asked: Mapping[str, Asked],
    baseline: str,
    name: str,
    margin: float,
    alpha: float,
    seed: int,
) -> Candidate:
    pairs = pair(lines, baseline, name)
    if not pairs.prompts:
        raise UserError(
            f"{name} and {baseline} have answered no prompt in common",
            why="a comparison is made prompt by prompt",
            next_step="Run the suite for both targets, or raise its budget.",
        )
    both: dict[str, dict[str, list[Answered]]] = defaultdict(lambda: {baseline: [], name: []})
    for line in lines:
        if line.target in (baseline, name):
            both[line.prompt][line.target].append(line)
    rows = [
        SideBySide(
            prompt, asked.get(prompt, Asked("")), slices, both[prompt][baseline], both[prompt][name], float(difference)
        )
        for prompt, slices, difference in zip(pairs.prompts, pairs.slices, pairs.differences, strict=True)
    ]
    rows.sort(key=lambda row: (row.difference, row.prompt))
    judgement = judge(compare(pairs, baseline, name, alpha=alpha, seed=seed), margin)
    return Candidate(name, judgement, tuple(rows[:MOST_SHOWN]), max(0, len(rows) - MOST_SHOWN))
