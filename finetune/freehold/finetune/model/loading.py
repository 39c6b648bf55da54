"""The base of a run, from the store, without a network."""

from typing import Any

from freehold.core.quiet import quiet_libraries
from freehold.core.store import Artifact
from freehold.finetune.model.precision import Precision
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
    import torch
    from transformers import AutoModelForCausalLM

    with quiet_libraries():
        model = AutoModelForCausalLM.from_pretrained(
            artifact.path,
            dtype=getattr(torch, precision.base),
            local_files_only=True,
            trust_remote_code="remote-code" in artifact.lineage.allowed,
        )
    return model.to(precision.device)
