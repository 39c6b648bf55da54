"""The base of a run, on the run's device."""

from typing import Any

from freehold.core.model.loading import load_model
from freehold.core.store import Artifact
from freehold.finetune.model.precision import Precision
from freehold.finetune.quantized.loading import load_quantized
from freehold.finetune.recipe import Recipe


def load_base(artifact: Artifact, recipe: Recipe, precision: Precision) -> Any:
    """The base as a causal language model on the run's device, its weights frozen by whoever adds an adapter."""
    if recipe.training.quantization != "none":
        return load_quantized(artifact, recipe.training.quantization, precision)
    # A base that is to be split up is split from the CPU: no GPU has room for all of it.
    return load_model(artifact, precision.base, "cpu" if recipe.scale.fsdp else precision.device)
