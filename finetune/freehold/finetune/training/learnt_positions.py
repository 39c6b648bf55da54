"""Logits only where something is learnt: the output head is half of a small model's work, and prompts need none."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from freehold.finetune.training.collating import IGNORED


def summed_loss(model: nn.Module, head: nn.Module, inputs: dict[str, Any]) -> Tensor:
    """Sum of the cross-entropies of the learnt tokens, in float32; a scalar.

    `inputs` has `labels` of shape (B, T) and what the model's forward takes. `head` is its output layer. The model's
    own forward runs, with what it does to logits after the head (scaling, soft caps).
    """
    labels = inputs["labels"]
    learnt = labels[:, 1:] != IGNORED
    forward = {name: value for name, value in inputs.items() if name != "labels"}
    with _only(head, learnt) as reached:
        logits = model(**forward, use_cache=False).logits
    if not reached:
        logits = logits[:, :-1][learnt]
    targets = labels[:, 1:][learnt]
    return nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]).float(), targets, reduction="sum")


@contextmanager
def _only(head: nn.Module, learnt: Tensor) -> Iterator[list[bool]]:
    """Let the head see the hidden states of the learnt positions alone, as (1, N, H); says whether it was asked."""
    reached: list[bool] = []

    def select(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        hidden = args[0]
        if hidden.shape[:2] != (learnt.shape[0], learnt.shape[1] + 1):
            return args
        reached.append(True)
        return (hidden[:, :-1][learnt].unsqueeze(0), *args[1:])

    handle = head.register_forward_pre_hook(select)
    try:
        yield reached
    finally:
        handle.remove()


def token_count(labels: Tensor) -> Tensor:
    """How many tokens of (B, T) labels are learnt; stays on the device."""
    return torch.count_nonzero(labels[:, 1:] != IGNORED)
