"""From lines of answers to one difference per prompt."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freehold.evaluate.results import Answered

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Pairs:
    """The prompts that both targets have, in the order of their identifiers; all arrays have shape [prompts]."""

    prompts: tuple[str, ...]
    baseline: Vector
    """Mean score of each prompt's samples, from 0 to 1."""
    candidate: Vector
    slices: tuple[Mapping[str, str], ...]
    """What kind of prompt each is."""

    @property
    def differences(self) -> Vector:
        """Candidate less baseline: from -1 to 1, positive where the candidate did better."""
        return self.candidate - self.baseline

    def where(self, dimension: str, value: str) -> "Pairs":
        """The prompts of one slice."""
        chosen = [number for number, one in enumerate(self.slices) if one.get(dimension) == value]
        return Pairs(
            tuple(self.prompts[number] for number in chosen),
            self.baseline[chosen],
            self.candidate[chosen],
            tuple(self.slices[number] for number in chosen),
        )


def pair(answers: Iterable[Answered], baseline: str, candidate: str) -> Pairs:
    """Pair up two targets of one suite. A prompt that one of them has no score for is left out."""
    scores: dict[str, dict[str, list[float]]] = {baseline: defaultdict(list), candidate: defaultdict(list)}
    slices: dict[str, Mapping[str, str]] = {}
    for answer in answers:
        if answer.target in scores and (score := answer.score) is not None:
            scores[answer.target][answer.prompt].append(score)
            slices[answer.prompt] = answer.slices
    both = sorted(scores[baseline].keys() & scores[candidate].keys())
    return Pairs(
        tuple(both),
        _means(scores[baseline], both),
        _means(scores[candidate], both),
        tuple(slices[prompt] for prompt in both),
    )


def _means(scores: Mapping[str, list[float]], prompts: list[str]) -> Vector:
    return np.array([sum(scores[prompt]) / len(scores[prompt]) for prompt in prompts], dtype=np.float64)
