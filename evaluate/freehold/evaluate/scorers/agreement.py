"""How far a judge agrees with itself when two answers change places."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from freehold.evaluate.results.record import Score


@dataclass(frozen=True)
class Agreement:
    """Over all pairs that were judged in both orders."""

    pairs: int
    same: int
    """Pairs with the same verdict in both orders."""
    kappa: float | None
    """Cohen's kappa of the two orders, each as a rater; None where chance alone would agree always.
    https://doi.org/10.1177/001316446002000104"""
    favours_first: int
    """Pairs in which what stood first won both times: position bias."""
    favours_second: int
    without_verdict: int
    """Pairs in which the judge gave no verdict at least once; these are in none of the other numbers but `pairs`."""

    @property
    def raw(self) -> float | None:
        """Share of the pairs with verdicts that have the same in both orders."""
        judged = self.pairs - self.without_verdict
        return self.same / judged if judged else None


def agreement(scores: Iterable[Score]) -> Agreement | None:
    """Of all scores that hold two verdicts; None where there are none."""
    both = [(score.details["first"], score.details["swapped"]) for score in scores if "swapped" in score.details]
    if not both:
        return None
    judged = [pair for pair in both if "none" not in pair]
    return Agreement(
        pairs=len(both),
        same=sum(first == swapped for first, swapped in judged),
        kappa=_kappa(judged),
        favours_first=judged.count(("answer", "other")),
        favours_second=judged.count(("other", "answer")),
        without_verdict=len(both) - len(judged),
    )


def _kappa(pairs: list[tuple[str, str]]) -> float | None:
    if not pairs:
        return None
    count = len(pairs)
    firsts, seconds = (Counter(pair[order] for pair in pairs) for order in (0, 1))
    by_chance = sum(firsts[name] * seconds[name] for name in firsts) / count**2
    if by_chance >= 1:
        return None
    observed = sum(first == second for first, second in pairs) / count
    return (observed - by_chance) / (1 - by_chance)
