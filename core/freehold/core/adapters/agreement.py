"""How near an engine's log-probabilities are to the reference, and how much of the adapter's effect it shows.

All numbers are in nats, at the positions of the reference's own continuation (teacher-forced).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from freehold.core.adapters.reference import ParityPosition

LISTED = 20
"""Most likely tokens that an engine lists: vLLM's default `--max-logprobs`."""


@dataclass(frozen=True)
class Agreement:
    """One side (adapter on, or off) over all positions."""

    mean: float
    """Mean over positions of the difference of the reference's most likely tokens, weighted by their probability."""
    worst: float
    """Largest of these differences."""


@dataclass(frozen=True)
class Effect:
    """What the adapter changes in the log-probability of the continuation's tokens."""

    expected: float
    """Mean absolute change in the reference."""
    found: float
    """Mean absolute change in the engine."""
    ratio: float
    """Least-squares share of the expected change that the engine shows: 1 is all of it, 0 is none."""


def divergence(expected: Mapping[int, float], given: Mapping[int, float]) -> float:
    """Difference of `expected`'s log-probabilities, weighted by their probability.

    An engine lists its most likely tokens only: one that is missing is at most as likely as the last listed.
    """
    # A forced token that is none of the most likely is listed after them, and says nothing about the others.
    floor = sorted(given.values(), reverse=True)[:LISTED][-1]
    return sum(
        math.exp(logprob) * abs(logprob - given.get(token, min(floor, logprob))) for token, logprob in expected.items()
    )


def agreement(expected: Sequence[Mapping[int, float]], given: Sequence[Mapping[int, float]]) -> Agreement:
    """Compare position by position; NaN in any makes both numbers NaN."""
    each = [divergence(one, other) for one, other in zip(expected, given, strict=True)]
    mean = fmean(each)
    # max() passes over NaN or not, depending on where it stands.
    return Agreement(mean, math.nan if math.isnan(mean) else max(each))


def token_error(
    positions: Sequence[ParityPosition], expected: Sequence[Mapping[int, float]], given: Sequence[Mapping[int, float]]
) -> float:
    """Mean absolute difference at the continuation's own tokens, however unlikely they are.

    The tuned model's tokens are unlikely for its base: weighted by their probability, another base would hardly show.
    """
    tokens = (position.token_id for position in positions)
    return fmean(abs(one[token] - other[token]) for token, one, other in zip(tokens, expected, given, strict=True))


def effect(
    positions: Sequence[ParityPosition],
    tuned: Sequence[Mapping[int, float]],
    base: Sequence[Mapping[int, float]],
) -> Effect:
    """The adapter's effect in an engine that was asked with it (`tuned`) and without (`base`).

    Only the continuation's own tokens count: an engine always tells their log-probabilities.
    """
    expected = [position.tuned[position.token_id] - position.base[position.token_id] for position in positions]
    found = [
        on[position.token_id] - off[position.token_id] for position, on, off in zip(positions, tuned, base, strict=True)
    ]
    power = math.fsum(change * change for change in expected)
    together = math.fsum(one * other for one, other in zip(expected, found, strict=True))
    return Effect(
        expected=fmean(abs(change) for change in expected),
        found=fmean(abs(change) for change in found),
        ratio=together / power if power else math.nan,
    )
