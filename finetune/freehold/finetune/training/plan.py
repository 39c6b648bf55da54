"""What a run will do, counted before it starts: steps, tokens, rates, precision."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freehold.finetune.model.precision import Precision
from freehold.finetune.recipe import Recipe, TrainingRecipe

SMALL_PARAMETERS = 1_000_000_000
"""Below this many parameters, a model takes and needs a higher rate."""


@dataclass(frozen=True)
class Plan:
    """One run in numbers."""

    rows: int
    eval_rows: int
    tokens_per_epoch: int
    longest: int
    """Tokens of the longest row."""
    steps: int
    """Optimizer steps of the whole run."""
    steps_per_epoch: int
    micro_batch_size: int
    accumulation: int
    learning_rate: float
    eval_steps: int
    """Steps between evaluations; 0 for none."""
    save_steps: int
    log_steps: int
    """Steps between logged losses: reading one makes the host wait for a GPU."""
    precision: Precision
    gradient_checkpointing: bool

    def document(self) -> dict[str, Any]:
        """The plan as JSON has it; `of` reads it."""
        return asdict(self)

    @classmethod
    def of(cls, document: dict[str, Any]) -> "Plan":
        return cls(**{**document, "precision": Precision(**document["precision"])})


def make_plan(
    recipe: Recipe,
    lengths: NDArray[np.int64],
    eval_rows: int,
    *,
    precision: Precision,
    parameters: int,
    micro_batch_size: int,
    gradient_checkpointing: bool,
) -> Plan:
    """Count a run over rows of these lengths."""
    training, watch = recipe.training, recipe.watch
    steps_per_epoch = math.ceil(len(lengths) / training.batch_size)
    steps = training.max_steps or max(1, round(training.epochs * steps_per_epoch))
    log_steps = 1 if precision.device == "cpu" else min(10, max(1, steps // 200))
    return Plan(
        rows=len(lengths),
        eval_rows=eval_rows,
        tokens_per_epoch=int(lengths.sum()),
        longest=int(lengths.max()),
        steps=steps,
        steps_per_epoch=steps_per_epoch,
        micro_batch_size=micro_batch_size,
        accumulation=training.batch_size // (micro_batch_size * recipe.scale.workers),
        learning_rate=_rate(training, parameters),
        eval_steps=_every(watch.eval_every, steps_per_epoch, log_steps) if eval_rows else 0,
        save_steps=_every(watch.save_every, steps_per_epoch, log_steps),
        log_steps=log_steps,
        precision=precision,
        gradient_checkpointing=gradient_checkpointing,
    )


def _every(epochs: float, steps_per_epoch: int, log_steps: int) -> int:
    """So many epochs in steps, at a step that is logged: a resumed run then logs what an unbroken one does."""
    return max(1, round(epochs * steps_per_epoch / log_steps)) * log_steps


def _rate(training: TrainingRecipe, parameters: int) -> float:
    rate = training.learning_rate or _default_rate(training.objective, parameters)
    return rate * training.learning_rate_multiplier


def _default_rate(objective: str, parameters: int) -> float:
    if objective != "sft":
        return 5e-6
    return 1e-3 if parameters < SMALL_PARAMETERS else 2e-4
