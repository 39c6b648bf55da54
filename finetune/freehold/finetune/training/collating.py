"""Rows of one micro batch as tensors: padded to the longest, or packed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from freehold.finetune.training.rows import Tokens

IGNORED = -100
"""Label of a position that is not learnt (torch's `ignore_index`)."""

Row = Mapping[str, Tokens]


@dataclass
class PaddingCollator:
    """Columns `input_ids` and `trained` become `input_ids`, `attention_mask` and `labels` of shape (B, T).

    `labels[b, t]` is the token at t itself, as transformers has it, or IGNORED; never anything at an example's first
    token, since nothing predicts it.
    """

    pad_token_id: int
    tokens_seen: int = 0
    """Tokens without padding that went through; read by whoever shows tokens per second."""

    def __call__(self, rows: Sequence[Row]) -> dict[str, Any]:
        longest = max(len(row["input_ids"]) for row in rows)
        input_ids = torch.full((len(rows), longest), self.pad_token_id)
        attention_mask = torch.zeros((len(rows), longest), dtype=torch.long)
        labels = torch.full((len(rows), longest), IGNORED)
        for index, row in enumerate(rows):
            length = len(row["input_ids"])
            input_ids[index, :length] = torch.from_numpy(row["input_ids"])
            attention_mask[index, :length] = 1
            labels[index, :length] = _labels(row)
            self.tokens_seen += length
        return {"input_ids": input_ids, "attention_mask": attention_mask, "labels": labels}


@dataclass
class PackingCollator:
    """The same rows end to end in as few lines as hold them: `input_ids`, `position_ids`, `labels` of shape (B', T).

    Positions restart at 0 with each example. Without an attention mask, transformers takes that as the border between
    sequences that do not see each other (`masking_utils.find_packed_sequence_indices`, variable-length attention).
    Padding is examples of one token each. `first_step.check_kept_apart` proves it on the model at hand.
    """

    pad_token_id: int
    tokens_seen: int = 0

    def __call__(self, rows: Sequence[Row]) -> dict[str, Any]:
        lines = _lines([len(row["input_ids"]) for row in rows])
        width = max(sum(len(rows[index]["input_ids"]) for index in line) for line in lines)
        input_ids = torch.full((len(lines), width), self.pad_token_id)
        position_ids = torch.zeros((len(lines), width), dtype=torch.long)
        labels = torch.full((len(lines), width), IGNORED)
        for number, line in enumerate(lines):
            start = 0
            for index in line:
                length = len(rows[index]["input_ids"])
                place = slice(start, start + length)
                input_ids[number, place] = torch.from_numpy(rows[index]["input_ids"])
                position_ids[number, place] = torch.arange(length)
                labels[number, place] = _labels(rows[index])
                start += length
            self.tokens_seen += start
        return {"input_ids": input_ids, "position_ids": position_ids, "labels": labels}


def _labels(row: Row) -> torch.Tensor:
    tokens = torch.from_numpy(row["input_ids"]).long()
    labels = torch.where(torch.from_numpy(row["trained"]).bool(), tokens, IGNORED)
    labels[0] = IGNORED
    return labels


def _lines(lengths: Sequence[int]) -> list[list[int]]:
    """Indices by line, none longer than the longest example: first fit, longest first."""
    width = max(lengths)
    lines: list[list[int]] = []
    room: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        place = next((number for number, left in enumerate(room) if left >= lengths[index]), None)
        if place is None:
            lines.append([index])
            room.append(width - lengths[index])
        else:
            lines[place].append(index)
            room[place] -= lengths[index]
    return lines
