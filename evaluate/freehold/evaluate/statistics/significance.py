"""Whether the difference could be chance: exact where answers are right or wrong, else by flipping signs."""

import numpy as np
from scipy.stats import binomtest

from freehold.evaluate.statistics.pairs import Vector

FLIPS = 20_000
_AT_A_TIME = 500


def p_value(differences: Vector, rng: np.random.Generator) -> float:
    """Two-sided p of "neither target is better", for `differences` of shape [prompts].

    If every prompt that differs does so by the same amount, this is McNemar's exact test, which is the sign test on the
    prompts that differ. Otherwise signs are flipped at random, which keeps the size of each difference.
    """
    told = differences[differences != 0]
    if not len(told):
        return 1.0
    sizes = np.abs(told)
    if np.allclose(sizes, sizes[0]):
        return float(binomtest(int((told > 0).sum()), len(told)).pvalue)
    return _flipped(told, rng)


def _flipped(told: Vector, rng: np.random.Generator) -> float:
    """The share of flips that come out as far from 0; the data itself counts as one, so that p is never 0."""
    observed = abs(told.sum()) - 1e-12
    as_far = 0
    for _ in range(FLIPS // _AT_A_TIME):
        signs = rng.integers(0, 2, (_AT_A_TIME, len(told))) * 2 - 1
        as_far += int((np.abs(signs @ told) >= observed).sum())
    return (as_far + 1) / (FLIPS + 1)
