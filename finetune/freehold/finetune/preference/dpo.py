"""Direct preference optimisation. https://arxiv.org/abs/2305.18290"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freehold.core.dataset.examples import Example
from freehold.finetune.preference.pairs import paired_rows, sequence_tokens
from freehold.finetune.recipe import Recipe
from freehold.finetune.training.objective import TrainerSetup
from freehold.finetune.training.rows import Rows


class DirectPreference:
    """Raises the chosen answer's odds over the rejected one's, held to what the base thinks of both."""

    name = "dpo"

    def tokenise(self, examples: Iterable[Example], masker: Any, recipe: Recipe) -> Rows:
        return paired_rows(examples, masker, self.name, recipe.training.max_length)

    def lengths(self, rows: Rows) -> NDArray[np.int64]:
        return sequence_tokens(rows)

    def trainer(self, setup: TrainerSetup) -> Any:
        from trl import DPOConfig, DPOTrainer

        from freehold.finetune.preference.building import trainer_keywords
        from freehold.finetune.preference.collating import PairCollator
        from freehold.finetune.preference.local import LocalTrainer, base_as_reference

        class LocalDPOTrainer(LocalTrainer, DPOTrainer):  # type: ignore[misc]
            pass

        arguments = DPOConfig(
            **setup.arguments,
            beta=setup.recipe.training.preference_beta,
            max_length=None,
            disable_dropout=False,
        )
        trainer = LocalDPOTrainer(args=arguments, **trainer_keywords(setup, PairCollator, self.lengths(setup.train)))
        base_as_reference(trainer.model)
        return trainer
