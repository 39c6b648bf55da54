"""How many examples go through at once: as many as the memory allows, or a refusal that names what to change."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freehold.core.errors import EnvironmentProblem, UserError
from freehold.core.progress import human_bytes
from freehold.finetune.model.footprint import Footprint
from freehold.finetune.recipe import Recipe

SHARE = 0.9
"""Of the free memory, what the estimate may take: allocators round up and fragment."""


@dataclass(frozen=True)
class Fit:
    """What one process does at a time, and what that takes."""

    micro_batch_size: int
    gradient_checkpointing: bool
    needed_bytes: int
    free_bytes: int
    reason: str


def fit(
    recipe: Recipe, lengths: NDArray[np.int64], learnt: NDArray[np.int64], print_of: Footprint, free_bytes: int
) -> Fit:
    """The largest micro batch that fits, without recomputation if it can be.

    `lengths` and `learnt` are the tokens of each row, all and learnt. Raises EnvironmentProblem when one example at a
    time does not fit, UserError when `microBatchSize` does not divide the batch.
    """
    training = recipe.training
    share = training.batch_size // recipe.scale.workers
    if share * recipe.scale.workers != training.batch_size:
        raise UserError(
            f"`training.batchSize` {training.batch_size} cannot be shared by {recipe.scale.workers} workers",
            why="each has the same number of examples, so that a step is the same for any number of workers",
            next_step=f"Choose a multiple of {recipe.scale.workers}.",
        )
    sizes = _sizes(training.micro_batch_size, share)
    longest, most = int(lengths.max()), int(learnt.max())
    modes = {"off": (False,), "on": (True,), "auto": (False, True)}[training.gradient_checkpointing]
    for checkpointing in modes:
        for size in sizes:
            needed = print_of.total(size * longest, size * most, checkpointing=checkpointing)
            if needed <= free_bytes * SHARE:
                return Fit(size, checkpointing, needed, free_bytes, _reason(size, share, checkpointing, training))
    least = print_of.total(sizes[-1] * longest, sizes[-1] * most, checkpointing=modes[-1])
    raise EnvironmentProblem(
        "The run does not fit into memory",
        why=f"{_count(sizes[-1])} of {longest} tokens at a time needs about {human_bytes(least)}, of which the base is "
        f"{human_bytes(print_of.base)}; {human_bytes(free_bytes)} are free",
        next_step=advice(recipe, sizes[-1], longest),
    )


def advice(recipe: Recipe, micro_batch_size: int, longest: int) -> str:
    """The setting to change next when memory is short, the cheapest first."""
    training = recipe.training
    if micro_batch_size > 1:
        return f"Set `training.microBatchSize: {micro_batch_size // 2}`: the result is the same, in more passes."
    if training.gradient_checkpointing == "off":
        return "Set `training.gradientCheckpointing: auto`: the result is the same, a third slower."
    if training.quantization == "none":
        return "Set `training.quantization: nf4`: the base then takes a quarter."
    return f"Leave out or split the examples near {longest} tokens: `training.maxLength` with `data.overLong: split`."


def _sizes(wanted: int | None, share: int) -> list[int]:
    if wanted is None:
        return [size for size in range(share, 0, -1) if share % size == 0]
    if share % wanted:
        raise UserError(
            f"`training.microBatchSize` {wanted} does not divide the {share} examples of each worker's step",
            next_step=f"Choose one of {', '.join(str(size) for size in range(1, share + 1) if share % size == 0)}.",
        )
    return [wanted]


def _reason(size: int, share: int, checkpointing: bool, training: object) -> str:
    if checkpointing:
        return "activations are recomputed, since they would not fit otherwise"
    return "a whole step fits at once" if size == share else f"more than {_count(size)} at once would not fit"


def _count(size: int) -> str:
    return "one example" if size == 1 else f"{size} examples"
