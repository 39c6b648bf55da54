"""Whether two models say the same: their log-probabilities on fixed texts, position by position."""

from collections.abc import Sequence
from typing import Any

import torch

from freehold.core.errors import GateError

TEXTS = (
    "The quick brown fox jumps over the lazy dog, and then it rests for a while under the old oak tree.",
    "def add(first: int, second: int) -> int:\n    return first + second\n",
    "Q: What is the capital of France?\nA: The capital of France is Paris.",
)
"""Asked beside the prompts of the data: a damaged weight shows anywhere."""

FLOAT32_LIMIT = 1e-4
"""Nats (mean KL) by which a merge in float32 may differ from base and adapter: a thousand times what rounding did."""
STORED_LIMIT = {"float32": 1e-4, "bfloat16": 2e-2, "float16": 2e-3}
"""The same for the files, in the type that they are stored in."""


def logprobs(model: Any, batches: Sequence[Sequence[int]]) -> list[torch.Tensor]:
    """Natural-log probabilities after each token of each sequence: tensors (T, vocabulary), in float64 on the CPU."""
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        found = [
            model(input_ids=torch.tensor([list(ids)], device=model.device), use_cache=False).logits[0]
            for ids in batches
        ]
    model.train(was_training)
    return [torch.log_softmax(logits.double(), dim=-1).cpu() for logits in found]


def mean_divergence(expected: Sequence[torch.Tensor], given: Sequence[torch.Tensor]) -> float:
    """Mean over all positions of KL(expected ‖ given), in nats; NaN where either is."""
    each = [(one.exp() * (one - other)).sum(-1) for one, other in zip(expected, given, strict=True)]
    return float(torch.cat(each).mean())


def check_alike(expected: Sequence[torch.Tensor], given: Sequence[torch.Tensor], limit: float, what: str) -> float:
    """The divergence. Raises GateError when it is above the limit, or no number."""
    found = mean_divergence(expected, given)
    if not found <= limit:
        raise GateError(
            f"{what} is not the model that was trained",
            why=f"its answers differ by {found:.3g} nats from base and adapter, {limit:g} would be rounding",
            next_step="Nothing was stored. `freehold store verify` the base and the adapter, and merge again.",
        )
    return found
