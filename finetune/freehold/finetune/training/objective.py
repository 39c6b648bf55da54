"""What an objective has to know: how examples become rows, and which trainer learns from them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from freehold.core.dataset.examples import Example
from freehold.finetune.recipe import Recipe
from freehold.finetune.training.rows import Rows


@dataclass(frozen=True)
class TrainerSetup:
    """Everything that a trainer is built from."""

    recipe: Recipe
    model: Any
    """The base with its adapter on it (`peft.PeftModel`); only the adapter requires gradients."""
    tokenizer: Any
    arguments: dict[str, Any]
    """Keywords of `transformers.TrainingArguments`; TRL's configurations take them too."""
    train: Rows
    eval: Rows | None = None
    callbacks: Sequence[Any] = field(default=())


class Objective(Protocol):
    """One way to learn. Implementations have no state; `training/objectives.py` lists them."""

    name: str

    def tokenise(self, examples: Iterable[Example], masker: Any, recipe: Recipe) -> Rows:
        """Rows of the examples, one or more of each. Raises UserError for examples of another kind."""
        ...

    def lengths(self, rows: Rows) -> NDArray[np.int64]:
        """Tokens that each row puts through the model: what memory, grouping and estimates go by."""
        ...

    def trainer(self, setup: TrainerSetup) -> Any:
        """A `transformers.Trainer`, ready for `train()`. Its loss is normalised over the whole optimizer step."""
        ...
