"""What is served against the reference, in numbers; and the limits between rounding and another model.

The limits come from a measured spread: `python -m bench.parity`, docs/benchmarks/parity.md.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from freehold.core.adapters.agreement import Agreement, Effect, agreement, effect, token_error
from freehold.core.adapters.reference import ParityPrompt, ParityReference
from freehold.core.probe.compare import QUANTIZED_LIMIT, SAME_WEIGHTS_LIMIT
from freehold.finetune.parity.measure import ServedAnswer

OWN_ROUNDING = 0.005
"""Nats that an adapter may be off on top of its base. Measured: 0.002 in bfloat16 on a base that shows no rounding."""
TUNED_FACTOR = 2
"""Times that an adapter may be as far off as its base. Measured: 0.64 in bfloat16 (0.009 nats), 0.61 in float16."""
TIE_FACTOR = 8
"""Times the limit of the mean that two tokens may be apart and change places: single positions are that much worse."""
BASE_TOKENS_FACTOR = 5
"""Unlikely tokens are rounded further than likely ones. Measured: twice as far in bfloat16 (0.029 nats)."""
EFFECT_FLOOR = 0.02
"""An adapter that changes less than this (mean nats) cannot be told from none."""


@dataclass(frozen=True)
class Limits:
    """What the numbers are held against, all but the ratios in nats."""

    base_mean: float
    """Mean divergence with the adapter off."""
    tuned_mean: float
    """Mean divergence with the adapter on."""
    tie_gap: float
    """Two tokens nearer than this in the reference may change places."""
    base_tokens: float
    """Mean difference of the base at the tuned model's own tokens, which the base may find very unlikely."""
    effect_least: float = 0.9
    """Least share of the adapter's expected effect."""
    effect_most: float = 1.1

    def as_numbers(self) -> dict[str, float]:
        """For the verdict."""
        return asdict(self)


@dataclass(frozen=True)
class RenderingDifference:
    """A prompt that the engine rendered to other tokens than the trainer."""

    prompt: str
    index: int
    """First token that differs."""
    expected: int | None
    """Token id there; None where the rendering is at its end."""
    found: int | None
    expected_count: int
    found_count: int


@dataclass(frozen=True)
class GreedyDifference:
    """The first token of an answer that is not the reference's."""

    prompt: str
    index: int
    expected: int | None
    found: int | None
    gap: float
    """How much more likely the expected token is than the found one by the reference, in nats."""


@dataclass(frozen=True)
class Comparison:
    """All numbers of one artifact."""

    prompts: int
    positions: int
    renderings: tuple[RenderingDifference, ...]
    greedy: tuple[GreedyDifference, ...]
    """Answers that differ, those included where the reference itself was near a tie."""
    tuned: Agreement
    base: Agreement | None
    """None for a merged model."""
    base_tokens: float
    """Mean absolute difference of the base's log-probabilities at the tuned model's tokens; 0 for a merged model."""
    effect: Effect

    @property
    def is_finite(self) -> bool:
        numbers = (self.tuned.mean, self.base.mean if self.base else 0.0, self.effect.found)
        return all(math.isfinite(number) for number in numbers)

    def beyond_ties(self, limits: Limits) -> tuple[GreedyDifference, ...]:
        """Answers that differ where the reference was sure."""
        return tuple(difference for difference in self.greedy if not difference.gap <= limits.tie_gap)

    def measurements(self, limits: Limits) -> dict[str, Any]:
        """For the verdict; numbers in nats unless the name says otherwise."""
        base = (
            {}
            if self.base is None
            else {
                "base_mean_nats": self.base.mean,
                "base_worst_nats": self.base.worst,
                "base_tokens_nats": self.base_tokens,
            }
        )
        return base | {
            "prompts": self.prompts,
            "positions": self.positions,
            "renderings_different": len(self.renderings),
            "answers_different": len(self.beyond_ties(limits)),
            "answers_different_at_a_tie": len(self.greedy) - len(self.beyond_ties(limits)),
            "tuned_mean_nats": self.tuned.mean,
            "tuned_worst_nats": self.tuned.worst,
            "effect_expected_nats": self.effect.expected,
            "effect_found_nats": self.effect.found,
            "effect_ratio": self.effect.ratio,
        }


def limits_for(reference: ParityReference, base: Agreement | None, *, quantized_online: bool) -> Limits:
    """The limits for this artifact in this engine.

    The engine's arithmetic shows in how far the base alone is from its reference; an adapter may be as far again, and
    a little more, but never far because the base is.
    """
    coarse = quantized_online or reference.base_quantization != "none"
    mean = QUANTIZED_LIMIT if coarse else SAME_WEIGHTS_LIMIT
    tuned = mean if base is None else min(mean, OWN_ROUNDING + TUNED_FACTOR * base.mean)
    return Limits(base_mean=mean, tuned_mean=tuned, tie_gap=TIE_FACTOR * tuned, base_tokens=BASE_TOKENS_FACTOR * mean)


def compare(reference: ParityReference, answers: Sequence[ServedAnswer]) -> Comparison:
    """Compare the answers, in the order of `reference.prompts`."""
    pairs = list(zip(reference.prompts, answers, strict=True))
    positions = [position for prompt, _ in pairs for position in prompt.positions]
    tuned = [given for _, answer in pairs for given in answer.tuned]
    has_base = all(answer.base is not None for answer in answers)
    base: list[Mapping[int, float]] = (
        [given for _, answer in pairs for given in answer.base or ()]
        if has_base
        else [position.base for position in positions]
    )
    return Comparison(
        prompts=len(pairs),
        positions=len(positions),
        renderings=tuple(each for pair in pairs if (each := _rendering(*pair))),
        greedy=tuple(found for pair in pairs if (found := _greedy(*pair))),
        tuned=agreement([position.tuned for position in positions], tuned),
        base=agreement([position.base for position in positions], base) if has_base else None,
        base_tokens=token_error(positions, [position.base for position in positions], base),
        effect=effect(positions, tuned, base),
    )


def _rendering(prompt: ParityPrompt, answer: ServedAnswer) -> RenderingDifference | None:
    expected, found = prompt.prompt_token_ids, answer.prompt_token_ids
    if found is None or found == expected:
        return None
    index = _first_difference(expected, found)
    return RenderingDifference(prompt.name, index, _at(expected, index), _at(found, index), len(expected), len(found))


def _greedy(prompt: ParityPrompt, answer: ServedAnswer) -> GreedyDifference | None:
    expected, found = prompt.continuation, answer.greedy
    if found == expected:
        return None
    index = _first_difference(expected, found)
    return GreedyDifference(
        prompt.name, index, _at(expected, index), _at(found, index), _gap(prompt, index, _at(found, index))
    )


def _gap(prompt: ParityPrompt, index: int, found: int | None) -> float:
    if index >= len(prompt.positions) or found is None:
        return math.inf
    position = prompt.positions[index]
    # One that is not listed is at most as likely as the last that is.
    return position.tuned[position.token_id] - position.tuned.get(found, min(position.tuned.values()))


def _first_difference(one: Sequence[int], other: Sequence[int]) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((index for index, (a, b) in pairs if a != b), min(len(one), len(other)))


def _at(tokens: Sequence[int], index: int) -> int | None:
    return tokens[index] if index < len(tokens) else None
