"""An artifact's model and tokenizer, from the store, without a network."""

from pathlib import Path
from typing import Any

from freehold.core.errors import RefusedError
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
    import transformers

    place, remote = folder or artifact.path, "remote-code" in artifact.lineage.allowed
    loader = getattr(transformers, whole_class(place, remote_code=remote))
    with quiet_libraries():
        model = loader.from_pretrained(
            place, dtype=getattr(torch, dtype), local_files_only=True, trust_remote_code=remote
        )
    return model.to(device)


def skeleton(folder: Path, *, remote_code: bool = False, model_class: str | None = None) -> Any:
    """The model of an artifact without its weights (on torch's meta device), whole unless a class is named."""
    import torch
    import transformers

    model_class = model_class or whole_class(folder, remote_code=remote_code)
    with quiet_libraries(), torch.device("meta"):
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=remote_code)
        return getattr(transformers, model_class).from_config(config, trust_remote_code=remote_code)


def whole_class(folder: Path, *, remote_code: bool = False) -> str:
    """Name of transformers' class that loads all of a model: its text alone, or also what it sees and hears.

    Raises RefusedError for one that generates no text.
    """
    import transformers

    with quiet_libraries():
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=remote_code)
    own = getattr(config, "auto_map", None) or {}
    for name in ("AutoModelForImageTextToText", "AutoModelForCausalLM", "AutoModelForMultimodalLM"):
        if name in own or type(config) in getattr(transformers, name)._model_mapping:
            return name
    raise RefusedError(
        f"{type(config).__name__} is no model that generates text", why="transformers knows no such class for it"
    )
