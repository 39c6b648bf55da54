"""The proof that an adapter acts in this engine: it answers as the trainer's own model did, and not as the base does.

vLLM answers 200 to an adapter whose tensors match no module, and serves the base under its name. The parity gate asks
more, once for each artifact; this is asked at every load, of the engine as it runs, in about a second.
"""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import aiohttp

from freehold.core.adapters.agreement import Agreement, Effect, agreement, effect
from freehold.core.adapters.reference import ParityPrompt, ParityReference
from freehold.core.errors import GateError
from freehold.core.probe.compare import QUANTIZED_LIMIT, SAME_WEIGHTS_LIMIT
from freehold.serve.engines.probing import next_logprobs, rendered_tokens

PROMPTS = 4
"""Prompts of the reference that are asked; the gate asks all."""
POSITIONS = 8
"""Places of each continuation that are asked about, with a request each."""
EFFECT_FLOOR = 0.02
"""Mean nats. An adapter that changes less cannot be told from none by numbers that rounding moves as far."""
EFFECT_LEAST = 0.75
"""Least share of the expected change. The gate's limit is stricter; four prompts have about twice its noise."""
EFFECT_LEAST_QUANTIZED = 0.5
NOTHING = 0.1
"""A share below this is no effect at all."""


@dataclass(frozen=True)
class Proof:
    """What the engine showed."""

    tuned: Agreement
    effect: Effect
    limit: float
    problems: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"divergence {self.tuned.mean:.3f} nats (limit {self.limit:.2f}), "
            f"{self.effect.ratio:.0%} of a change of {self.effect.expected:.2f} nats"
        )


async def prove(
    session: aiohttp.ClientSession,
    base_url: str,
    *,
    base: str,
    adapter: str,
    reference: ParityReference,
    context_tokens: int | None,
    quantized_online: bool,
) -> Proof:
    """Ask the engine with the adapter's name and with the base's, and compare.

    Raises EngineError if it does not answer, GateError if its context is too short for every prompt.
    """
    prompts = [_beginning(prompt) for prompt in reference.prompts if _fits(prompt, context_tokens)][:PROMPTS]
    if not prompts:
        raise GateError(
            "The adapter cannot be proven",
            why=f"each prompt of its reference is longer than the engine's context of {context_tokens} tokens",
            next_step="Raise `engine.maxModelLen`, or accept it unproven with `accept: [parity]`.",
        )
    problems = []
    tuned: list[Mapping[int, float]] = []
    plain: list[Mapping[int, float]] = []
    for prompt in prompts:
        problems += await _rendering_problems(session, base_url, adapter, prompt)
        for name, answers in ((adapter, tuned), (base, plain)):
            answers += await _along(session, base_url, name, prompt)
    is_coarse = quantized_online or reference.base_quantization != "none"
    return judge(prompts, tuned, plain, problems, is_coarse=is_coarse)


async def _along(
    session: aiohttp.ClientSession, base_url: str, model: str, prompt: ParityPrompt
) -> list[dict[int, float]]:
    """What the model would say at each place of the reference's continuation."""
    tokens = [*prompt.prompt_token_ids, *prompt.continuation]
    ends = range(len(prompt.prompt_token_ids), len(tokens))
    return await asyncio.gather(*(next_logprobs(session, base_url, model, tokens[:end], tokens[end]) for end in ends))


def judge(
    prompts: Sequence[ParityPrompt],
    tuned: Sequence[Mapping[int, float]],
    plain: Sequence[Mapping[int, float]],
    problems: Sequence[str] = (),
    *,
    is_coarse: bool = False,
) -> Proof:
    """Compare what the engine said with the adapter (`tuned`) and without (`plain`) at all positions of the prompts."""
    positions = list(chain.from_iterable(prompt.positions for prompt in prompts))
    without = agreement([position.base for position in positions], plain)
    with_it = agreement([position.tuned for position in positions], tuned)
    shown = effect(positions, tuned, plain)
    # The engine's own arithmetic shows in the base, which the golden probe has passed already.
    limit = QUANTIZED_LIMIT if is_coarse else min(SAME_WEIGHTS_LIMIT, 0.01 + 3 * without.mean)
    found = [*problems, *_effect_problems(shown, EFFECT_LEAST_QUANTIZED if is_coarse else EFFECT_LEAST)]
    # Written so that NaN, which a broken kernel gives, is no pass.
    if not with_it.mean <= limit:
        found.append(f"its log-probabilities are {with_it.mean:.3f} nats from the trainer's, limit {limit:.2f}")
    return Proof(with_it, shown, limit, tuple(found))


def _effect_problems(shown: Effect, least: float) -> list[str]:
    if shown.expected < EFFECT_FLOOR:
        return []
    numbers = f"{shown.ratio:.0%} of a change of {shown.expected:.2f} nats"
    if math.isnan(shown.ratio):
        return ["the engine's numbers are not finite"]
    if abs(shown.ratio) < NOTHING:
        return [
            f"the engine took the adapter, but it changes nothing: its tensors match no module of the model ({numbers})"
        ]
    if shown.ratio < least:
        return [f"only a part of the adapter acts: some of its tensors match no module of the model ({numbers})"]
    if shown.ratio > 2 - least:
        return [f"the adapter acts more strongly than it was trained: another scale or another base ({numbers})"]
    return []


async def _rendering_problems(
    session: aiohttp.ClientSession, base_url: str, model: str, prompt: ParityPrompt
) -> list[str]:
    # Calls travel with their arguments as text; the gate compares those.
    if prompt.messages is None or any(message.get("tool_calls") for message in prompt.messages):
        return []
    found = await rendered_tokens(session, base_url, model, prompt.messages, prompt.tools)
    if found == prompt.prompt_token_ids:
        return []
    pairs = enumerate(zip(prompt.prompt_token_ids, found, strict=False))
    first = next((i for i, (a, b) in pairs if a != b), min(len(found), len(prompt.prompt_token_ids)))
    return [
        f"the engine's chat template renders {prompt.name} to other tokens than the trainer's, from token {first} on"
    ]


def _beginning(prompt: ParityPrompt) -> ParityPrompt:
    return prompt.model_copy(update={"positions": prompt.positions[:POSITIONS]})


def _fits(prompt: ParityPrompt, context_tokens: int | None) -> bool:
    return context_tokens is None or len(prompt.prompt_token_ids) + POSITIONS <= context_tokens
