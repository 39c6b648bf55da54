"""Rows of one micro batch in the tensors that TRL's trainers take, padded to the longest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from freehold.finetune.training.rows import Tokens

Row = Mapping[str, Tokens]


@dataclass
class PairCollator:
    """`input_ids`, `attention_mask`, `completion_mask` of shape (2B, T): all chosen answers, then all rejected."""

    pad_token_id: int
    tokens_seen: int = 0
    """Tokens without padding that went through; read by whoever shows tokens per second."""

    def __call__(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        sequences = [(row["prompt_ids"], row[answer]) for answer in ("chosen_ids", "rejected_ids") for row in rows]
        self.tokens_seen += sum(len(prompt) + len(answer) for prompt, answer in sequences)
        return _padded(sequences, self.pad_token_id)


@dataclass
class JudgedCollator:
    """The same three of shape (B, T), again with the prefix `KL_` for mismatched answers, and `label` of shape (B,)."""

    pad_token_id: int
    tokens_seen: int = 0

    def __call__(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        judged = [(row["prompt_ids"], row["completion_ids"]) for row in rows]
        mismatched = [(row["prompt_ids"], row["kl_ids"]) for row in rows]
        self.tokens_seen += sum(len(prompt) + len(answer) for prompt, answer in judged + mismatched)
        batch = _padded(judged, self.pad_token_id)
        batch |= {f"KL_{name}": tensor for name, tensor in _padded(mismatched, self.pad_token_id).items()}
        return batch | {"label": torch.tensor([bool(row["label"][0]) for row in rows])}


def blank_row(example: Row, pad_token_id: int) -> dict[str, Tokens]:
    """A row of the same columns with a prompt, and no answer to learn."""
    empty = np.zeros(0, dtype=np.int32)
    blank: dict[str, Tokens] = dict.fromkeys(example, empty)
    # Two tokens: one alone leaves nothing once the last, which predicts nothing, is dropped.
    blank["prompt_ids"] = np.full(2, pad_token_id, dtype=np.int32)
    if "label" in example:
        blank["label"] = np.ones(1, dtype=np.int32)
    return blank


def _padded(sequences: Sequence[tuple[Tokens, Tokens]], pad_token_id: int) -> dict[str, Any]:
    longest = max(len(prompt) + len(answer) for prompt, answer in sequences)
    shape = (len(sequences), longest)
    input_ids = torch.full(shape, pad_token_id, dtype=torch.long)
    attention_mask = torch.zeros(shape, dtype=torch.long)
    completion_mask = torch.zeros(shape, dtype=torch.long)
    for index, (prompt, answer) in enumerate(sequences):
        end = len(prompt) + len(answer)
        input_ids[index, :end] = torch.from_numpy(np.concatenate([prompt, answer]))
        attention_mask[index, :end] = 1
        completion_mask[index, len(prompt) : end] = 1
    return {"input_ids": input_ids, "attention_mask": attention_mask, "completion_mask": completion_mask}
