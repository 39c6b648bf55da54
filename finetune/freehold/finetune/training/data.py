"""From the recipe's sources to the rows of a run, and the prompts that are asked of the result."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from freehold.core.dataset.examples import Example
from freehold.core.dataset.reading import Dataset, read_examples
from freehold.core.errors import ConfigError
from freehold.core.progress import hint
from freehold.core.settings import Settings
from freehold.finetune.recipe import Recipe
from freehold.finetune.training.objective import Objective
from freehold.finetune.training.rows import Rows

SHOWN_WARNINGS = 5


@dataclass(frozen=True)
class RunData:
    """What a run learns from and is judged by."""

    train: Rows
    eval: Rows | None
    train_examples: tuple[Example, ...]
    held_out: tuple[Example, ...]
    """Not learnt from; empty where the recipe holds none out."""
    digests: dict[str, str]
    """SHA-256 of what was read, by `train` and `eval`."""


def read_run_data(recipe: Recipe, objective: Objective, masker: Any, settings: Settings) -> RunData:
    """Read, check and tokenise. Raises ConfigError with every problem of every source at once."""
    data = recipe.data
    train = read_examples(data.train, format=data.format, settings=settings)
    evaluation = read_examples(data.eval, format=data.format, settings=settings) if data.eval else None
    sets = [train] if evaluation is None else [train, evaluation]
    _refuse_errors(sets)
    digests = {"train": train.digest} | ({} if evaluation is None else {"eval": evaluation.digest})
    if evaluation is None:
        learnt, held_out = _hold_out(train.examples, data.eval_fraction, recipe.training.seed)
    else:
        learnt, held_out = train.examples, evaluation.examples
    return RunData(
        train=objective.tokenise(learnt, masker, recipe),
        eval=objective.tokenise(held_out, masker, recipe) if held_out else None,
        train_examples=learnt,
        held_out=held_out,
        digests=digests,
    )


def _refuse_errors(sets: Sequence[Dataset]) -> None:
    errors = [str(problem) for each in sets for problem in each.errors]
    if errors:
        raise ConfigError(
            f"The data has {len(errors)} error(s)", errors, next_step="See all of it with `freehold dataset check`."
        )
    warnings = [str(problem) for each in sets for problem in each.problems]
    for warning in warnings[:SHOWN_WARNINGS]:
        hint(warning)
    if len(warnings) > SHOWN_WARNINGS:
        hint(f"… and {len(warnings) - SHOWN_WARNINGS} more warnings: `freehold dataset check` shows them.")


def _hold_out(
    examples: tuple[Example, ...], fraction: float, seed: int
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """A share of the examples, drawn by the seed; both parts keep their order, and one example stays to learn."""
    count = min(round(len(examples) * fraction), len(examples) - 1)
    drawn = set(np.random.default_rng(seed).permutation(len(examples))[:count].tolist())
    return (
        tuple(example for index, example in enumerate(examples) if index not in drawn),
        tuple(example for index, example in enumerate(examples) if index in drawn),
    )
