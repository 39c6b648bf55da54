"""From the recipe's sources to the rows of a run, and the prompts that are asked of the result."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from freehold.core.dataset.examples import Example
from freehold.core.dataset.neutral import NEUTRAL, NEUTRAL_FILE
from freehold.core.dataset.reading import read_examples
from freehold.core.dataset.repeats import subject
from freehold.core.errors import ConfigError
from freehold.core.progress import hint
from freehold.core.settings import Settings
from freehold.core.store import Artifact
from freehold.finetune.checking.report import CheckRequest, check_data
from freehold.finetune.masking.loading import context_tokens
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


def read_run_data(recipe: Recipe, base: Artifact, objective: Objective, masker: Any, settings: Settings) -> RunData:
    """Check, read and tokenise. Raises ConfigError with every error of every source at once."""
    data = recipe.data
    _refuse_errors(recipe, base, settings)
    train = read_examples(data.train, format=data.format, settings=settings)
    evaluation = read_examples(data.eval, format=data.format, settings=settings) if data.eval else None
    digests = {"train": train.digest} | ({} if evaluation is None else {"eval": evaluation.digest})
    if evaluation is None:
        learnt, held_out = hold_out(train.examples, data.eval_fraction, recipe.training.seed)
    else:
        learnt, held_out = train.examples, evaluation.examples
    replayed: tuple[Example, ...] = ()
    if data.replay:
        texts = read_examples(_files(data.replay), format="text", settings=settings)
        replayed = texts.examples
        digests["replay"] = texts.digest
    return RunData(
        train=objective.tokenise((*learnt, *replayed), masker, recipe),
        eval=objective.tokenise(held_out, masker, recipe) if held_out else None,
        train_examples=learnt,
        held_out=held_out,
        digests=digests,
    )


def _files(replay: tuple[str, ...]) -> list[str]:
    return [str(NEUTRAL_FILE) if name == NEUTRAL else name for name in replay]


def within_context(recipe: Recipe, base: Artifact) -> Recipe:
    """The recipe with `training.maxLength` no longer than the base's context."""
    limits = [limit for limit in (recipe.training.max_length, context_tokens(base.path)) if limit is not None]
    if not limits:
        return recipe
    return recipe.model_copy(update={"training": recipe.training.model_copy(update={"max_length": min(limits)})})


def _refuse_errors(recipe: Recipe, base: Artifact, settings: Settings) -> None:
    data = recipe.data
    request = CheckRequest(
        data.train,
        data.eval,
        base,
        data_format=data.format,
        max_length=recipe.training.max_length,
        over_long=data.over_long,
    )
    report = check_data(request, settings)
    if report.errors:
        command = f"freehold dataset check {' '.join(data.train)} --model {recipe.model}"
        raise ConfigError(
            f"The data has {len(report.errors)} error(s)",
            [str(problem) for problem in report.errors],
            next_step=f"Correct them; `{command}` shows all of it, and what would be learnt.",
        )
    for warning in report.problems[:SHOWN_WARNINGS]:
        hint(str(warning))
    if len(report.problems) > SHOWN_WARNINGS:
        hint(f"… and {len(report.problems) - SHOWN_WARNINGS} more warnings: `freehold dataset check` shows them.")


def hold_out(
    examples: tuple[Example, ...], fraction: float, seed: int
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """A share of the examples, drawn by the seed; both parts keep their order.

    What asks the same is drawn together, or the held-out part would ask what was learnt; one such stays to learn.
    """
    subjects = [subject(example) for example in examples]
    sizes = Counter(subjects)
    names = list(sizes)
    wanted, drawn = round(len(examples) * fraction), set[str]()
    for index in np.random.default_rng(seed).permutation(len(names))[: len(names) - 1]:
        if sizes[names[index]] <= wanted:
            wanted -= sizes[names[index]]
            drawn.add(names[index])
    return (
        tuple(example for example, asked in zip(examples, subjects, strict=True) if asked not in drawn),
        tuple(example for example, asked in zip(examples, subjects, strict=True) if asked in drawn),
    )
