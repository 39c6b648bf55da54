"""The gate's numbers with transformers in the engine's place: what must pass and what must not, and the reason.

The same with a real vLLM: tests/e2e/test_parity.py, and `python -m bench.parity`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures.trained import Recipe, add_adapter, change_json, drop

from freehold.core.adapters.reference import ParityPrompt, read_parity
from freehold.core.quiet import quiet_libraries
from freehold.core.store import Artifact, Store
from freehold.finetune.parity.causes import Judged, reasons
from freehold.finetune.parity.compare import compare, limits_for
from freehold.finetune.parity.measure import ServedAnswer

pytestmark = pytest.mark.slow


def _reasons(artifact: Artifact, base: Artifact, dtype: torch.dtype) -> list[str]:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    reference = read_parity(artifact.path)
    assert reference is not None
    with quiet_libraries(), torch.inference_mode():
        plain = AutoModelForCausalLM.from_pretrained(base.path, dtype=dtype)
        model = PeftModel.from_pretrained(plain, artifact.path, autocast_adapter_dtype=False).eval()
        answers = [_answer(model, prompt) for prompt in reference.prompts]
    found = compare(reference, answers)
    limits = limits_for(reference, found.base, quantized_online=False)
    return reasons(Judged(artifact, base, reference, str), found, limits)


def _answer(model: Any, prompt: ParityPrompt) -> ServedAnswer:
    ids = torch.tensor([prompt.prompt_token_ids])
    generated = model.generate(input_ids=ids, max_new_tokens=len(prompt.positions), do_sample=False)[0]
    with model.disable_adapter():
        base = _forced(model, prompt)
    greedy = tuple(generated[ids.shape[1] :].tolist())
    return ServedAnswer(prompt.prompt_token_ids, greedy, _forced(model, prompt), base)


def _forced(model: Any, prompt: ParityPrompt) -> tuple[dict[int, float], ...]:
    """As vLLM lists them: the 20 most likely tokens, and the forced one wherever it stands."""
    logits = model(torch.tensor([[*prompt.prompt_token_ids, *prompt.continuation]])).logits[0]
    rows = logits.float().log_softmax(-1)[len(prompt.prompt_token_ids) - 1 : -1]
    return tuple(
        {token: float(row[token]) for token in (*row.topk(20).indices.tolist(), forced)}
        for row, forced in zip(rows, prompt.continuation, strict=True)
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_honest_rounding_passes(shelf: Store, base: Artifact, scratch: Path, dtype: torch.dtype) -> None:
    assert _reasons(add_adapter(shelf, base, "honest", scratch), base, dtype) == []


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (change_json("adapter_config.json", lora_alpha=2), "the engine shows"),
        (change_json("adapter_config.json", lora_alpha=12), "its log-probabilities are"),
        (drop("layers.1.mlp.down_proj"), "missing module"),
        (drop("layers.0.self_attn.q_proj"), "missing module"),
    ],
    ids=["an eighth of the scale", "three quarters of the scale", "a lost matrix", "a lost matrix of attention"],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_another_adapter_is_refused(
    shelf: Store,
    base: Artifact,
    scratch: Path,
    broken: Callable[[dict[str, bytes]], None],
    reason: str,
    dtype: torch.dtype,
) -> None:
    adapter = add_adapter(shelf, base, "planted", scratch, Recipe(break_files=broken))
    assert _reasons(adapter, base, dtype)[0].startswith(reason)


def test_another_base_is_refused(shelf: Store, base: Artifact, scratch: Path) -> None:
    from fixtures.models import make_tiny_model
    from fixtures.trained import add_base

    with quiet_libraries():
        other = add_base(shelf, make_tiny_model(scratch / "other", seed=1), "other")
    adapter = add_adapter(shelf, other, "of-another", scratch)
    assert _reasons(adapter, base, torch.float32)[0].startswith("another base: with the adapter off")
