"""The base of a run, from the store, without a network."""

from pathlib import Path
from typing import Any

from freehold.core.quiet import quiet_libraries
from freehold.core.store import Artifact
from freehold.finetune.model.precision import Precision
from freehold.finetune.quantized.loading import load_quantized
from freehold.finetune.recipe import Recipe


def load_tokenizer(artifact: Artifact) -> Any:
    """The artifact's own tokenizer, with its chat template."""
    from transformers import AutoTokenizer

    with quiet_libraries():
        return AutoTokenizer.from_pretrained(
            artifact.path, local_files_only=True, trust_remote_code="remote-code" in artifact.lineage.allowed
        )


def load_base(artifact: Artifact, recipe: Recipe, precision: Precision) -> Any:
    """The base as a causal language model on the run's device, its weights frozen by whoever adds an adapter."""
    if recipe.training.quantization != "none":
        return load_quantized(artifact, recipe.training.quantization, precision)
    # A base that is to be split up is split from the CPU: no GPU has room for all of it.
    return load_model(artifact, precision.base, "cpu" if recipe.scale.fsdp else precision.device)


def load_model(artifact: Artifact, dtype: str, device: str, *, folder: Path | None = None) -> Any:
    """An artifact's model; `folder` holds other files of the same kind, allowed what the artifact was allowed."""
    import torch
    from transformers import AutoModelForCausalLM

    with quiet_libraries():
        model = AutoModelForCausalLM.from_pretrained(
            folder or artifact.path,
            dtype=getattr(torch, dtype),
            local_files_only=True,
            trust_remote_code="remote-code" in artifact.lineage.allowed,
        )
    return model.to(device)
