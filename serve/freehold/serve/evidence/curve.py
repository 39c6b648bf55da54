"""How a run's scores come out while it goes on."""

from dataclasses import dataclass

from freehold.serve.evidence.answers import score_of
from freehold.serve.evidence.runs import ANSWERS, Run, lines_of

MOST_POINTS = 200


@dataclass(frozen=True)
class Curve:
    """Mean score by how many answers it is of; a target that has fewer ends with None."""

    answers: list[int]
    targets: dict[str, list[float | None]]
    """From 0 to 1."""


def curve_of(run: Run) -> Curve:
    """In the order in which answers came; skipped ones are not among them."""
    means: dict[str, list[float]] = {target: [] for target in run.targets}
    sums = dict.fromkeys(run.targets, 0.0)
    for line in lines_of(run.path / ANSWERS):
        score, target = score_of(line), line["target"]
        if score is not None and target in means:
            sums[target] += score
            means[target].append(sums[target] / (len(means[target]) + 1))
    longest = max(map(len, means.values()), default=0)
    count = min(longest, MOST_POINTS)
    shown = [longest * number // count for number in range(1, count + 1)]
    return Curve(
        shown, {target: [each[at - 1] if at <= len(each) else None for at in shown] for target, each in means.items()}
    )
