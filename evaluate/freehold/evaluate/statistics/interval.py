"""How large the difference may be: a bootstrap interval of the mean of paired differences."""

from typing import NamedTuple

import numpy as np

from freehold.evaluate.statistics.pairs import Vector

RESAMPLES = 10_000
_AT_A_TIME = 500
"""Resamples drawn together: 500 times 10,000 prompts are 40 MB."""


class Interval(NamedTuple):
    """Bounds of a mean difference, in score from -1 to 1."""

    low: float
    high: float


def mean_interval(differences: Vector, confidence: float, rng: np.random.Generator) -> Interval:
    """The percentile bootstrap's interval of the mean of `differences`, of shape [prompts].

    One prompt won and one lost are added before drawing. Without them a slice whose few prompts all came out alike
    would have an interval of no width. For answers that are right or wrong this is the bootstrap's form of Bonett and
    Price, "Adjusted Wald Confidence Interval for a Difference of Binomial Proportions Based on Paired Data",
    Journal of Educational and Behavioral Statistics 37 (2012).
    """
    values = np.concatenate([differences, [1.0, -1.0]])
    means = np.concatenate([_draw(values, rng) for _ in range(RESAMPLES // _AT_A_TIME)])
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(float(low), float(high))


def _draw(values: Vector, rng: np.random.Generator) -> Vector:
    """Means of resamples, of shape [_AT_A_TIME]."""
    means: Vector = values[rng.integers(0, len(values), (_AT_A_TIME, len(values)))].mean(axis=1)
    return means
