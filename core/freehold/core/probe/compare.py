"""Comparing what an engine answered with the reference, and the limits between rounding and a wrong model.

The measure is in nats: at each reference position, the difference of the log-probabilities of the reference's most
likely tokens, weighted by their reference probability; then the mean over all positions. The limits come from a
measured spread (`python -m bench.probe`, docs/benchmarks/probe.md).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from freehold.core.store.lineage import ProbeReference, PromptProbe

SAME_WEIGHTS_LIMIT = 0.06
"""Largest mean divergence of honest rounding: another dtype, another kernel, the same weights.

Measured: 0.018 in bfloat16, 0.025 for an nf4 artifact; 0.089 with 2 % noise on the weights, which is refused.
"""
QUANTIZED_LIMIT = 0.45
"""The same for weights that the engine quantizes while loading, which the reference has not seen.

Measured: 0.34 for nf4, the coarsest; 0.56 with the rows of one matrix permuted.
"""


@dataclass(frozen=True)
class EngineAnswer:
    """What an engine says to one prompt of the reference."""

    prompt_token_ids: tuple[int, ...] | None
    """Tokens that the engine itself made of the chat messages; None for a raw prompt."""
    positions: tuple[Mapping[int, float], ...]
    """Natural-log probabilities by token id at each reference position, teacher-forced."""


@dataclass(frozen=True)
class Verdict:
    """Outcome of a probe, with the numbers."""

    passed: bool
    divergence: float
    """Mean weighted difference in nats."""
    limit: float
    top1_agreement: float
    """Share of positions at which the most likely token is the reference's."""
    problems: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"divergence {self.divergence:.3f} nats (limit {self.limit:.2f}), "
            f"most likely token agrees at {self.top1_agreement:.0%} of positions"
        )


def compare(reference: ProbeReference, answers: Sequence[EngineAnswer], *, quantized_online: bool) -> Verdict:
    """Judge an engine's answers, in the order of `reference.prompts`."""
    limit = QUANTIZED_LIMIT if quantized_online else SAME_WEIGHTS_LIMIT
    problems = []
    divergences: list[float] = []
    agreements: list[bool] = []
    for prompt, answer in zip(reference.prompts, answers, strict=True):
        if answer.prompt_token_ids is not None and answer.prompt_token_ids != prompt.prompt_token_ids:
            problems.append(_template_problem(prompt, answer.prompt_token_ids))
        for expected, given in zip(prompt.positions, answer.positions, strict=True):
            divergences.append(_divergence(expected.top, given))
            agreements.append(max(given, key=given.__getitem__) == expected.token_id)
    mean = fmean(divergences)
    # Written so that NaN, which a broken kernel gives, is no pass.
    if not mean <= limit:
        problems.append(f"its log-probabilities are {mean:.3f} nats from the reference on average, limit {limit:.2f}")
    return Verdict(not problems, mean, limit, fmean(agreements), tuple(problems))


def _divergence(expected: Mapping[int, float], given: Mapping[int, float]) -> float:
    # An engine lists its 20 most likely tokens only: one that is missing is at most as likely as the last listed.
    floor = min(given.values())
    total = 0.0
    for token, logprob in expected.items():
        found = given.get(token, min(floor, logprob))
        total += math.exp(logprob) * abs(logprob - found)
    return total


def _template_problem(prompt: PromptProbe, found: tuple[int, ...]) -> str:
    pairs = zip(prompt.prompt_token_ids, found, strict=False)
    first = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(found), len(prompt.prompt_token_ids)))
    return (
        f"its chat template renders the prompt {prompt.name!r} to {len(found)} tokens instead of "
        f"{len(prompt.prompt_token_ids)}, first difference at token {first}"
    )
