"""Rows of one micro batch as tensors, padded to its longest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from freehold.finetune.training.rows import Tokens

IGNORED = -100
"""Label of a position that is not learnt (torch's `ignore_index`)."""


@dataclass
class PaddingCollator:
    """Columns `input_ids` and `trained` become `input_ids`, `attention_mask` and `labels` of shape (B, T).

    `labels[b, t]` is the token at t itself, as transformers has it, or IGNORED; never anything at t = 0, since nothing
    predicts it.
    """

    pad_token_id: int
    tokens_seen: int = 0
    """Tokens without padding that went through; read by whoever shows tokens per second."""

    def __call__(self, rows: Sequence[Mapping[str, Tokens]]) -> dict[str, Any]:
        longest = max(len(row["input_ids"]) for row in rows)
        input_ids = torch.full((len(rows), longest), self.pad_token_id, dtype=torch.long)
        attention_mask = torch.zeros((len(rows), longest), dtype=torch.long)
        labels = torch.full((len(rows), longest), IGNORED, dtype=torch.long)
        for index, row in enumerate(rows):
            length = len(row["input_ids"])
            tokens = torch.as_tensor(row["input_ids"], dtype=torch.long)
            trained = torch.as_tensor(row["trained"], dtype=torch.bool)
            input_ids[index, :length] = tokens
            attention_mask[index, :length] = 1
            labels[index, :length] = torch.where(trained, tokens, IGNORED)
            self.tokens_seen += length
        labels[:, 0] = IGNORED
        return {"input_ids": input_ids, "attention_mask": attention_mask, "labels": labels}
