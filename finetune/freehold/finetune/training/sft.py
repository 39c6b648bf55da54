"""Supervised fine-tuning: learn the assistant's tokens of conversations, or whole texts."""

import sys
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freehold.core.dataset.examples import Conversation, Example, PlainText
from freehold.core.errors import UserError
from freehold.core.progress import hint
from freehold.finetune.masking.lengths import mask_within
from freehold.finetune.recipe import Recipe
from freehold.finetune.training.objective import TrainerSetup
from freehold.finetune.training.rows import Column, Rows


class SupervisedFineTuning:
    """Columns: `input_ids`, and `trained` with 1 where a token is learnt."""

    name = "sft"

    def tokenise(self, examples: Iterable[Example], masker: Any, recipe: Recipe) -> Rows:
        fitted = mask_within(
            masker, _conversations(examples), recipe.training.max_length or sys.maxsize, recipe.data.over_long
        )
        for split in fitted.split:
            hint(str(split))
        masked = [row for row in fitted.examples if any(row.trained[1:])]
        if empty := len(fitted.examples) - len(masked):
            hint(f"{empty} example(s) hold nothing to learn (`weight` 0, or a single token) and are left out.")
        return Rows(
            {
                "input_ids": Column.of(row.token_ids for row in masked),
                "trained": Column.of(row.trained for row in masked),
            }
        )

    def lengths(self, rows: Rows) -> NDArray[np.int64]:
        return rows.columns["input_ids"].lengths

    def trainer(self, setup: TrainerSetup) -> Any:
        from transformers import TrainingArguments

        from freehold.finetune.training.blanks import WithBlanks
        from freehold.finetune.training.collating import PackingCollator, PaddingCollator
        from freehold.finetune.training.sft_trainer import SupervisedTrainer

        pad = setup.tokenizer.pad_token_id
        pad = setup.tokenizer.eos_token_id if pad is None else pad
        blank = {"input_ids": np.array([pad], dtype=np.int32), "trained": np.zeros(1, dtype=np.int32)}
        return SupervisedTrainer(
            lengths=self.lengths(setup.train),
            batch_size=setup.recipe.training.batch_size,
            model=setup.model,
            args=TrainingArguments(**setup.arguments),
            train_dataset=WithBlanks(setup.train, blank),
            eval_dataset=setup.eval,
            data_collator=(PackingCollator if setup.recipe.training.packing else PaddingCollator)(pad),
            callbacks=list(setup.callbacks),
        )


def _conversations(examples: Iterable[Example]) -> Iterator[Conversation | PlainText]:
    for example in examples:
        if not isinstance(example, Conversation | PlainText):
            raise UserError(
                f"{example.origin} is no example for the objective sft",
                why="it holds judged or compared answers",
                next_step="Choose `training: {objective: dpo}` or `kto`, or give conversations.",
            )
        yield example
