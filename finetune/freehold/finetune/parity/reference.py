"""Writing `parity.json`: the trainer's own model answers the prompts, with its adapter and without."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch

from freehold.core.adapters.reference import PARITY_FILE, ParityPosition, ParityPrompt, ParityReference
from freehold.core.errors import GateError, UserError
from freehold.core.store import Artifact
from freehold.core.store.atomic import write_atomically
from freehold.finetune.masking.masker import Masker
from freehold.finetune.parity.prompts import TEXT_TOKENS, Prompt

POSITIONS = 32
"""Tokens generated after each prompt, at most."""
TOP = 10
"""Most likely tokens recorded at each position; engines answer with up to 20."""


def write_reference(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Prompt],
    folder: Path,
    *,
    base: Artifact,
    base_quantization: Literal["none", "nf4", "int8"] = "none",
) -> ParityReference:
    """Compute the reference of a trained peft model and write it to `folder/parity.json`.

    The model is cast to float32, unless its base is quantized, and stays so: call it when nothing is trained any more.
    Raises UserError when no prompt fits the model's context, GateError when the model answers with NaN.
    """
    if base_quantization == "none":
        model.float()
    reference = ParityReference(
        base=base.id,
        base_digest=base.lineage.digest,
        base_quantization=base_quantization,
        chat_template_sha256=template_digest(tokenizer.chat_template),
        end_token_ids=end_tokens(model, tokenizer),
        versions={name: version(name) for name in ("torch", "transformers", "peft")},
        prompts=answers(model, tokenizer, prompts, model.disable_adapter),
    )
    write_atomically(folder / PARITY_FILE, reference.model_dump_json().encode() + b"\n")
    return reference


def answers(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Prompt],
    without_adapter: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> tuple[ParityPrompt, ...]:
    """Greedy continuations and log-probabilities; `without_adapter` turns the adapter off inside its block."""
    rendered = [(prompt, render(tokenizer, prompt)) for prompt in prompts]
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    fitting = [(prompt, ids) for prompt, ids in rendered if context is None or len(ids) + POSITIONS <= context]
    if not fitting:
        raise UserError(
            "The parity gate has no prompt to ask",
            why=f"none of {len(prompts)} held-out prompts fits the context of {context} tokens with an answer",
            next_step="Name evaluation data with shorter prompts in the recipe (`data.eval`).",
        )
    end = end_tokens(model, tokenizer)
    with _evaluating(model), torch.inference_mode():
        return tuple(_answer(model, prompt, ids, end, without_adapter) for prompt, ids in fitting)


def render(tokenizer: Any, prompt: Prompt) -> list[int]:
    """Token ids of the prompt: what the training masks render, and an engine has to render as well."""
    if prompt.messages is None:
        return list(tokenizer.encode(prompt.text))[:TEXT_TOKENS]
    return Masker(tokenizer).prompt_ids(prompt.messages, prompt.tools)


def end_tokens(model: Any, tokenizer: Any) -> tuple[int, ...]:
    """What ends an answer in vLLM too: the tokenizer's end token and those of `generation_config.json`."""
    configured = model.generation_config.eos_token_id
    listed = configured if isinstance(configured, list) else [configured]
    return tuple(sorted({token for token in (*listed, tokenizer.eos_token_id) if token is not None}))


def template_digest(template: str | None) -> str | None:
    """SHA-256 of a chat template's text."""
    return None if template is None else hashlib.sha256(template.encode()).hexdigest()


def _answer(
    model: Any,
    prompt: Prompt,
    ids: list[int],
    end: tuple[int, ...],
    without_adapter: Callable[[], AbstractContextManager[Any]],
) -> ParityPrompt:
    continuation = _continue(model, ids, end)
    tuned = _logprobs(model, ids, continuation)
    if tuned.isnan().any():
        raise GateError(
            "The tuned model is broken",
            why=f"its log-probabilities after {prompt.name} are NaN",
            next_step="Train again with a lower `training.learningRate`, or with `training.precision: float32`.",
        )
    with without_adapter():
        base = _logprobs(model, ids, continuation)
    positions = tuple(_position(token, on, off) for token, on, off in zip(continuation, tuned, base, strict=True))
    return ParityPrompt(
        name=prompt.name,
        messages=prompt.messages,
        tools=prompt.tools,
        prompt_token_ids=tuple(ids),
        positions=positions,
    )


def _continue(model: Any, ids: list[int], end: tuple[int, ...]) -> list[int]:
    """Greedy tokens up to and with an end token; no repetition penalty or other default of the model plays a part."""
    cache = None
    step, continuation = ids, list[int]()
    while len(continuation) < POSITIONS and not (continuation and continuation[-1] in end):
        output = model(
            input_ids=torch.tensor([step], device=model.device), past_key_values=cache, use_cache=True, logits_to_keep=1
        )
        cache = output.past_key_values
        continuation.append(int(output.logits[0, -1].argmax()))
        step = continuation[-1:]
    return continuation


def _logprobs(model: Any, ids: list[int], continuation: list[int]) -> torch.Tensor:
    """(positions, vocabulary), of each continuation token from one forward pass without a cache."""
    tokens = torch.tensor([[*ids, *continuation[:-1]]], device=model.device)
    logits = model(input_ids=tokens, use_cache=False, logits_to_keep=len(continuation)).logits[0]
    return torch.log_softmax(logits.double(), dim=-1).cpu()


def _position(token: int, tuned: torch.Tensor, base: torch.Tensor) -> ParityPosition:
    top = tuned.topk(min(TOP, len(tuned))).indices.tolist()
    # Where two tokens tie, the pass without a cache may rank another first; the generated one is recorded all the same.
    tokens = dict.fromkeys([*top, token])
    return ParityPosition(
        token_id=token,
        tuned={each: round(float(tuned[each]), 6) for each in tokens},
        base={each: round(float(base[each]), 6) for each in tokens},
    )


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    """Without dropout, and as it was afterwards."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
