"""Kahneman-Tversky optimisation: answers that were each judged alone. https://arxiv.org/abs/2402.01306"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freehold.core.dataset.examples import Example
from freehold.finetune.preference.pairs import judged_rows, sequence_tokens
from freehold.finetune.recipe import Recipe
from freehold.finetune.training.objective import TrainerSetup
from freehold.finetune.training.rows import Rows


class KahnemanTversky:
    """Raises desirable answers and lowers the others, against how far the model has gone from the base."""

    name = "kto"

    def tokenise(self, examples: Iterable[Example], masker: Any, recipe: Recipe) -> Rows:
        return judged_rows(examples, masker, self.name, recipe.training.max_length)

    def lengths(self, rows: Rows) -> NDArray[np.int64]:
        return sequence_tokens(rows)

    def trainer(self, setup: TrainerSetup) -> Any:
        from trl import KTOConfig, KTOTrainer

        from freehold.finetune.preference.building import trainer_keywords
        from freehold.finetune.preference.collating import JudgedCollator
        from freehold.finetune.preference.local import LocalTrainer, base_as_reference

        class LocalKTOTrainer(LocalTrainer, KTOTrainer):  # type: ignore[misc]
            pass

        # TRL pairs rows with their neighbours of a fixed order, so it insists on that and on two rows. Ours carry
        # their pair with them; it is told what it wants to hear, and the batch is set right below.
        rows = setup.arguments["per_device_train_batch_size"]
        arguments = KTOConfig(
            **setup.arguments | {"per_device_train_batch_size": max(2, rows)},
            beta=setup.recipe.training.preference_beta,
            max_length=None,
            disable_dropout=False,
            train_sampling_strategy="sequential",
        )
        trainer = LocalKTOTrainer(args=arguments, **trainer_keywords(setup, JudgedCollator, self.lengths(setup.train)))
        trainer.args.per_device_train_batch_size = rows
        base_as_reference(trainer.model)
        return trainer
