"""The objectives there are, by the name that a recipe gives them."""

from freehold.finetune.preference.dpo import DirectPreference
from freehold.finetune.preference.kto import KahnemanTversky
from freehold.finetune.preference.orpo import OddsRatio
from freehold.finetune.training.objective import Objective
from freehold.finetune.training.sft import SupervisedFineTuning


def objective_named(name: str) -> Objective:
    """The objective of `training.objective`. The recipe's schema has refused any other name."""
    return OBJECTIVES[name]


OBJECTIVES: dict[str, Objective] = {
    objective.name: objective
    for objective in (SupervisedFineTuning(), DirectPreference(), OddsRatio(), KahnemanTversky())
}
