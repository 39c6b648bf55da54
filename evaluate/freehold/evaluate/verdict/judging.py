"""What a comparison comes to.

"As good as" is a claim of its own, not the absence of a proof to the contrary: the interval of the difference must lie
above what may be lost (non-inferiority). So few prompts lead to `hold`, and more of them to an answer.
"""

from dataclasses import dataclass
from enum import StrEnum

from freehold.evaluate.statistics.comparison import Comparison, SliceResult
from freehold.evaluate.statistics.power import prompts_needed

MARGIN = 0.03
"""How much of the mean score may be lost: three prompts in a hundred."""


class Decision(StrEnum):
    """What to do."""

    REPLACE = "replace"
    REPLACE_SLICES = "replace for these slices"
    HOLD = "hold"


@dataclass(frozen=True)
class Judgement:
    """A decision and what it rests on."""

    decision: Decision
    slices: tuple[str, ...]
    """For which slices, as `dimension=value`; empty unless the decision is for some only."""
    reasons: tuple[str, ...]
    """Sentences with their numbers, the one that decided first."""
    comparison: Comparison
    margin: float


def judge(comparison: Comparison, margin: float = MARGIN) -> Judgement:
    """Decide. `margin` is how much of the mean score, from 0 to 1, may be lost."""
    overall, worse = comparison.overall, comparison.worse
    proven = [one for one in comparison.slices[1:] if one.interval.low >= -margin and one not in worse]
    if overall.interval.low >= -margin and not worse:
        reasons = (_as_good(overall, margin), *_unclear(comparison, margin), *map(_better, comparison.better))
        return Judgement(Decision.REPLACE, (), reasons, comparison, margin)
    against = tuple(map(_worse, worse)) or (_not_shown(overall, comparison, margin),)
    if proven:
        reasons = (*(_as_good(one, margin) for one in proven), *against)
        return Judgement(Decision.REPLACE_SLICES, tuple(one.name for one in proven), reasons, comparison, margin)
    return Judgement(Decision.HOLD, (), (*against, *map(_better, comparison.better)), comparison, margin)


def _as_good(one: SliceResult, margin: float) -> str:
    return (
        f"{_named(one)}: {_scores(one)}; at worst {_points(max(-one.interval.low, 0.0))} points are lost, and "
        f"{_points(margin)} may be."
    )


def _better(one: SliceResult) -> str:
    return f"{_named(one)}: better, {_scores(one)} (adjusted p {_p(one.p_adjusted)})."


def _worse(one: SliceResult) -> str:
    return (
        f"{_named(one)}: worse, {_scores(one)}, between {_points(-one.interval.high)} and {_points(-one.interval.low)} "
        f"points lost (adjusted p {_p(one.p_adjusted)})."
    )


def _not_shown(one: SliceResult, comparison: Comparison, margin: float) -> str:
    if one.p_adjusted < comparison.alpha and one.difference < 0:
        return _worse(one)
    more = prompts_needed(margin, _disagreement(one), comparison.alpha / len(comparison.slices)) if margin > 0 else 0
    needed = f"; about {more} prompts would show whether it loses {_points(margin)}" if more > one.prompts else ""
    return (
        f"{_named(one)}: not shown to be as good: {_scores(one)}, and up to {_points(max(-one.interval.low, 0.0))} "
        f"points may be lost with {one.prompts} prompts{needed}."
    )


def _unclear(comparison: Comparison, margin: float) -> tuple[str, ...]:
    small = [one for one in comparison.slices[1:] if one.interval.low < -margin]
    if not small:
        return ()
    least = min(small, key=lambda one: one.prompts)
    return (
        f"Of {len(small)} slice(s) alone too few prompts were asked to tell ({', '.join(one.name for one in small)}); "
        f"the {least.prompts} of {least.name} show differences of {_points(least.visible)} points.",
    )


def _disagreement(one: SliceResult) -> float:
    return (one.won + one.lost + 2) / (one.prompts + 2)


def _named(one: SliceResult) -> str:
    return one.name[0].upper() + one.name[1:] if not one.dimension else one.name


def _scores(one: SliceResult) -> str:
    return f"{_points(one.candidate)} against {_points(one.baseline)} of 100 over {one.prompts} prompts"


def _points(share: float) -> str:
    return f"{100 * share:.1f}"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
