"""An artifact's model and tokenizer, from the store, without a network."""

from pathlib import Path
from typing import Any

from freehold.core.quiet import quiet_libraries
from freehold.core.store import Artifact


def load_tokenizer(artifact: Artifact) -> Any:
    """The artifact's own tokenizer, with its chat template."""
    from transformers import AutoTokenizer

    with quiet_libraries():
        return AutoTokenizer.from_pretrained(
            artifact.path, local_files_only=True, trust_remote_code="remote-code" in artifact.lineage.allowed
        )


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


def skeleton(folder: Path, *, remote_code: bool = False) -> Any:
    """The model of an artifact without its weights (on torch's meta device)."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with quiet_libraries(), torch.device("meta"):
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=remote_code)
        return AutoModelForCausalLM.from_config(config, trust_remote_code=remote_code)
