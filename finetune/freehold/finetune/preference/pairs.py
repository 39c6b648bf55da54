"""Preferences and judged answers as rows of token ids."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freehold.core.dataset.examples import Example, Judged, Origin, Preference
from freehold.core.errors import UserError
from freehold.finetune.masking.lengths import OverLongError
from freehold.finetune.masking.masker import Masker
from freehold.finetune.training.rows import Column, Rows


@dataclass(frozen=True)
class Answered:
    """One answer to a prompt, in tokens."""

    origin: Origin
    prompt: tuple[int, ...]
    answer: tuple[int, ...]
    desirable: bool = True

    @property
    def length(self) -> int:
        return len(self.prompt) + len(self.answer)


def paired_rows(examples: Iterable[Example], masker: Masker, objective: str, limit: int | None) -> Rows:
    """Columns `prompt_ids`, `chosen_ids`, `rejected_ids`, a row per preference.

    Raises UserError for an example that compares nothing, and for all together that are longer than `limit` tokens.
    """
    chosen, rejected = [], []
    for example in examples:
        if not isinstance(example, Preference):
            raise _wrong_kind(example, objective, "give lines with `chosen` and `rejected`")
        prompt, good, bad = masker.preference(example)
        if good == bad:
            raise UserError(
                f"{example.origin}: the chosen and the rejected answer are the same",
                why="there is nothing to prefer",
                next_step="Correct or remove the line.",
            )
        chosen.append(Answered(example.origin, tuple(prompt), tuple(good)))
        rejected.append(Answered(example.origin, tuple(prompt), tuple(bad), desirable=False))
    _refuse_over_long([*chosen, *rejected], limit)
    return Rows(
        {
            "prompt_ids": Column.of(row.prompt for row in chosen),
            "chosen_ids": Column.of(row.answer for row in chosen),
            "rejected_ids": Column.of(row.answer for row in rejected),
        }
    )


def judged_rows(examples: Iterable[Example], masker: Masker, objective: str, limit: int | None) -> Rows:
    """Columns `prompt_ids`, `completion_ids`, `kl_ids`, `label` (one 0 or 1), a row per judged answer.

    A preference gives two rows. `kl_ids` is the answer to the row before, which KTO needs under this row's prompt to
    estimate how far the model has gone; it is not learnt, and cut where it would go over `limit`.
    Raises UserError for an example without an answer to judge, and for all together that are longer than `limit`.
    """
    rows = [answered for example in examples for answered in _answers(example, masker, objective)]
    _refuse_over_long(rows, limit)
    room = [None if limit is None else limit - len(row.prompt) for row in rows]
    return Rows(
        {
            "prompt_ids": Column.of(row.prompt for row in rows),
            "completion_ids": Column.of(row.answer for row in rows),
            "kl_ids": Column.of(rows[index - 1].answer[: room[index]] for index in range(len(rows))),
            "label": Column.of((int(row.desirable),) for row in rows),
        }
    )


def sequence_tokens(rows: Rows) -> NDArray[np.int64]:
    """Tokens that each row puts through the model: the prompt counts once for every answer."""
    prompt, *answers = (column.lengths for name, column in rows.columns.items() if name in _TOKENS)
    return np.asarray(sum(prompt + answer for answer in answers), dtype=np.int64)


_TOKENS = ("prompt_ids", "chosen_ids", "rejected_ids", "completion_ids", "kl_ids")


def _answers(example: Example, masker: Masker, objective: str) -> Iterator[Answered]:
    if isinstance(example, Judged):
        prompt, answer = masker.judged(example)
        yield Answered(example.origin, tuple(prompt), tuple(answer), example.desirable)
    elif isinstance(example, Preference):
        prompt, good, bad = masker.preference(example)
        yield Answered(example.origin, tuple(prompt), tuple(good))
        yield Answered(example.origin, tuple(prompt), tuple(bad), desirable=False)
    else:
        raise _wrong_kind(example, objective, "give lines with `label`, or with `chosen` and `rejected`")


def _refuse_over_long(rows: list[Answered], limit: int | None) -> None:
    over: dict[Origin, int] = {}
    for row in rows:
        if limit is not None and row.length > limit:
            over[row.origin] = max(row.length, over.get(row.origin, 0))
    if limit is not None and over:
        remedy = "Raise `training.maxLength`, or shorten or remove these lines: answers are never cut."
        raise OverLongError(tuple(over.items()), limit, next_step=remedy)


def _wrong_kind(example: Example, objective: str, remedy: str) -> UserError:
    return UserError(
        f"{example.origin} is no example for the objective {objective}",
        why=f"it is a {type(example).__name__.lower()} without answers to compare",
        next_step=f"Choose `training: {{objective: sft}}`, or {remedy}.",
    )
