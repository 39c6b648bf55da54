"""One candidate beside one baseline, over all prompts and slice by slice."""

import hashlib
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from freehold.evaluate.statistics.correction import holm
from freehold.evaluate.statistics.interval import Interval, mean_interval
from freehold.evaluate.statistics.pairs import Pairs
from freehold.evaluate.statistics.power import visible_difference
from freehold.evaluate.statistics.significance import p_value

ALL = ("", "")
"""The slice of all prompts."""


@dataclass(frozen=True)
class SliceResult:
    """What is known of one slice. Scores are means from 0 to 1, differences candidate less baseline."""

    dimension: str
    """What the prompts are sliced by; empty for all of them."""
    value: str
    prompts: int
    baseline: float
    candidate: float
    won: int
    """Prompts on which the candidate scored higher."""
    lost: int
    interval: Interval
    """Of the difference, at the confidence of the whole: all intervals hold together."""
    p: float
    """Two-sided, of this slice alone."""
    p_adjusted: float
    """Holm's, over every slice and all prompts."""
    visible: float
    """The smallest difference that so many prompts could have shown."""

    @property
    def difference(self) -> float:
        return self.candidate - self.baseline

    @property
    def name(self) -> str:
        return f"{self.dimension}={self.value}" if self.dimension else "all prompts"


@dataclass(frozen=True)
class Comparison:
    """Every slice of one pair of targets; the first is that of all prompts."""

    baseline: str
    candidate: str
    alpha: float
    """Share of runs in which anything is flagged where nothing differs."""
    slices: tuple[SliceResult, ...]

    @property
    def overall(self) -> SliceResult:
        return self.slices[0]

    @property
    def worse(self) -> tuple[SliceResult, ...]:
        """Slices on which the candidate is worse; the worst first."""
        flagged = (one for one in self.slices[1:] if one.p_adjusted < self.alpha and one.difference < 0)
        return tuple(sorted(flagged, key=lambda one: one.difference))

    @property
    def better(self) -> tuple[SliceResult, ...]:
        flagged = (one for one in self.slices[1:] if one.p_adjusted < self.alpha and one.difference > 0)
        return tuple(sorted(flagged, key=lambda one: -one.difference))


def compare(pairs: Pairs, baseline: str, candidate: str, *, alpha: float = 0.05, seed: int = 0) -> Comparison:
    """Compare two targets. The same pairs and seed give the same numbers, whatever else is compared beside them."""
    parts = [(ALL, pairs)] + [(name, pairs.where(*name)) for name in _slices_of(pairs)]
    confidence = 1 - alpha / len(parts)  # Bonferroni: they hold together
    streams = [_stream(seed, *name) for name, _ in parts]
    ps = [p_value(part.differences, rng) for (_, part), rng in zip(parts, streams, strict=True)]
    results = []
    for (name, part), rng, p, adjusted in zip(parts, streams, ps, holm(ps), strict=True):
        differences, count = part.differences, len(part.prompts)
        disagreement = (float((differences**2).sum()) + 2) / (count + 2)
        results.append(
            SliceResult(
                *name,
                prompts=count,
                baseline=float(part.baseline.mean()) if count else 0.0,
                candidate=float(part.candidate.mean()) if count else 0.0,
                won=int((differences > 0).sum()),
                lost=int((differences < 0).sum()),
                interval=mean_interval(differences, confidence, rng),
                p=p,
                p_adjusted=adjusted,
                visible=visible_difference(count, disagreement, alpha / len(parts)),
            )
        )
    return Comparison(baseline, candidate, alpha, tuple(results))


def _slices_of(pairs: Pairs) -> list[tuple[str, str]]:
    values: dict[str, set[str]] = defaultdict(set)
    for one in pairs.slices:
        for dimension, value in one.items():
            values[dimension].add(value)
    # A dimension with one value would test all prompts twice.
    return [
        (dimension, value)
        for dimension in sorted(values)
        if len(values[dimension]) > 1
        for value in sorted(values[dimension])
    ]


def _stream(seed: int, dimension: str, value: str) -> np.random.Generator:
    """Random numbers of one slice's own."""
    digest = hashlib.sha256(f"{seed}\0{dimension}\0{value}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))
