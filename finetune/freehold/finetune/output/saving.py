"""The adapter's files as peft writes them and vLLM reads them."""

import json
import shutil
from pathlib import Path
from typing import Any

from freehold.core.quiet import quiet_libraries
from freehold.core.store import Artifact
from freehold.core.store.atomic import write_atomically


def save_adapter(model: Any, base: Artifact, folder: Path, *, state: dict[str, Any] | None = None) -> None:
    """Write `adapter_config.json` and `adapter_model.safetensors`, whole or not at all.

    `state` are the weights of a model that does not hold them itself.
    """
    partial = folder.with_name(f".{folder.name}")
    shutil.rmtree(partial, ignore_errors=True)
    with quiet_libraries():
        # Without the embeddings: peft would look for the base on the hub to see whether they changed.
        model.save_pretrained(partial, safe_serialization=True, save_embedding_layers=False, state_dict=state)
    for extra in partial.glob("README.md"):
        extra.unlink()
    path = partial / "adapter_config.json"
    config = json.loads(path.read_text())
    # A path of this machine means nothing elsewhere; the artifact's id says which base it is.
    config["base_model_name_or_path"] = base.id
    write_atomically(path, json.dumps(config, indent=2, sort_keys=True).encode() + b"\n")
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
