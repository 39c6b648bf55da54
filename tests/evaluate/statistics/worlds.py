"""Pairs of targets whose true differences are known."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from freehold.evaluate.statistics.pairs import Pairs

KINDS = tuple("abcdefgh")
RIGHT = 0.7
"""Share that the baseline has right."""
ALIKE = 0.6
"""Share of prompts on which the candidate is right exactly where the baseline is."""
NOTHING: Mapping[str, float] = MappingProxyType({})


def world(seed: int, planted: Mapping[str, float] = NOTHING, prompts: int = 80, *, graded: bool = False) -> Pairs:
    """`prompts` of each kind; the candidate differs by what is planted for a kind, elsewhere by chance alone."""
    rng = np.random.default_rng(seed)
    baseline, candidate = [], []
    for kind in KINDS:
        ours = rng.random(prompts) < RIGHT
        theirs = np.where(rng.random(prompts) < ALIKE, ours, rng.random(prompts) < RIGHT)
        delta = planted.get(kind, 0.0)
        if delta < 0:  # what it had right it now has wrong, as often as makes the difference
            theirs = theirs & (rng.random(prompts) >= -delta / RIGHT)
        elif delta:
            theirs = theirs | (rng.random(prompts) < delta / (1 - RIGHT))
        spread = rng.random((2, prompts)) * 0.2 if graded else np.zeros((2, prompts))
        baseline.append(np.abs(ours - spread[0]))
        candidate.append(np.abs(theirs - spread[1]))
    kinds = tuple({"kind": kind} for kind in KINDS for _ in range(prompts))
    names = tuple(f"{number:04d}" for number in range(len(kinds)))
    return Pairs(names, np.concatenate(baseline), np.concatenate(candidate), kinds)
