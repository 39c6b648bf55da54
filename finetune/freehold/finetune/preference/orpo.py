"""Odds ratio preference optimisation, without a reference model. https://arxiv.org/abs/2403.07691"""

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freehold.core.dataset.examples import Example
from freehold.finetune.preference.pairs import paired_rows, sequence_tokens
from freehold.finetune.recipe import Recipe
from freehold.finetune.training.objective import TrainerSetup
from freehold.finetune.training.rows import Rows


class OddsRatio:
    """Learns the chosen answers, and the odds of each over its rejected one."""

    name = "orpo"

    def tokenise(self, examples: Iterable[Example], masker: Any, recipe: Recipe) -> Rows:
        return paired_rows(examples, masker, self.name, recipe.training.max_length)

    def lengths(self, rows: Rows) -> NDArray[np.int64]:
        return sequence_tokens(rows)

    def trainer(self, setup: TrainerSetup) -> Any:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*trl.experimental.*")  # it may change; so says the manual
            from trl.experimental.orpo import ORPOConfig

            from freehold.finetune.preference.orpo_trainer import LocalORPOTrainer
        from freehold.finetune.preference.building import trainer_keywords
        from freehold.finetune.preference.collating import PairCollator

        arguments = ORPOConfig(
            **setup.arguments,
            beta=setup.recipe.training.preference_beta,
            max_length=0,  # unused: our rows are tokenised; None would be reported as an omission
            disable_dropout=False,
        )
        return LocalORPOTrainer(args=arguments, **trainer_keywords(setup, PairCollator, self.lengths(setup.train)))
