"""What the trainer is told about the processes that share a run."""

from typing import Any

from freehold.core.errors import UserError
from freehold.finetune.model.precision import Precision
from freehold.finetune.recipe import Recipe


def distributed_arguments(recipe: Recipe, precision: Precision) -> dict[str, Any]:
    """Keywords of `transformers.TrainingArguments`; none for a run in one process.

    Raises UserError for `scale.fsdp` without GPUs, which accelerate would leave out without a word.
    """
    if recipe.scale.fsdp and precision.device == "cpu":
        raise UserError(
            "`scale.fsdp` splits the base over GPUs, and there is none here",
            why="workers on a CPU each hold all of it, in the same memory",
            next_step="Write `scale: {fsdp: false}`; fewer workers take less memory.",
        )
    if recipe.scale.workers == 1 and recipe.scale.launcher == "accelerate":
        return {}
    found: dict[str, Any] = {
        "ddp_backend": "gloo" if precision.device == "cpu" else "nccl",
        "ddp_find_unused_parameters": False,
        "average_tokens_across_devices": True,  # the loss is a mean over the tokens of all workers
    }
    if recipe.scale.fsdp:
        # Each decoder layer is gathered for its own pass; the full state comes together for a checkpoint.
        found |= {"fsdp": True, "fsdp_config": {"state_dict_type": "FULL_STATE_DICT", "reshard_after_forward": True}}
    return found
