"""Counts the parts of every model in the catalogue: `python -m freehold.core.plan.counting manifests/sizes.json`.

transformers builds each from its publisher's config without weights; this is exact, and takes torch. A model whose
class transformers does not have is not counted.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from freehold.core.manifest import ModelManifest
from freehold.core.manifest.catalogue import read_catalogue
from freehold.core.manifest.shipped import shipped
from freehold.core.model.tensors import Tensor
from freehold.core.plan.cache import text_config
from freehold.core.plan.parts import KINDS, parts_of
from freehold.core.quiet import quiet_libraries

STORED = 2
SAME = {"kimi_k2": "deepseek_v3"}
"""Model types of code that comes with a repository, and those of transformers that have the same tensors."""
CLASSES = ("AutoModelForImageTextToText", "AutoModelForCausalLM", "AutoModelForSequenceClassification", "AutoModel")


class NotCounted(Exception):
    """Why a model's parts are not known."""


def count(manifest: ModelManifest) -> dict[str, int]:
    """Parameters by part. Raises NotCounted, with the reason."""
    model = skeleton_of(manifest)
    assert manifest.config is not None
    config = manifest.config
    tied = {name for name in (getattr(model, "_tied_weights_keys", None) or ()) if config_ties(config)}
    tensors = {
        name: Tensor("BF16", tuple(parameter.shape), STORED * parameter.numel())
        for name, parameter in model.named_parameters()
        if name not in tied
    }
    parts = parts_of(tensors, int(text_config(config)["num_hidden_layers"]))
    return {kind: parts[kind].elements for kind in KINDS if parts[kind].elements}


def skeleton_of(manifest: ModelManifest) -> Any:
    """The model without weights. Raises NotCounted, with the reason."""
    if manifest.config is None:
        raise NotCounted("the manifest has no config")
    return _skeleton(manifest.config, manifest.architecture)


def config_ties(config: Mapping[str, Any]) -> bool:
    """Whether embedding and head are one."""
    return bool(config.get("tie_word_embeddings", text_config(config).get("tie_word_embeddings", False)))


def _skeleton(config: Mapping[str, Any], architecture: str | None) -> Any:
    import torch
    import transformers
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig

    known = {name: value for name, value in config.items() if name not in ("model_type", "quantization_config")}
    with quiet_libraries(), torch.device("meta"):
        try:
            made = AutoConfig.for_model(SAME.get(config["model_type"], config["model_type"]), **known)
        except (ValueError, StrictDataclassError) as error:
            raise NotCounted(str(error).splitlines()[-1].strip()[:100]) from error
        if own := architecture and getattr(transformers, architecture, None):
            return own(made)
        for name in CLASSES:
            if type(made) in getattr(transformers, name)._model_mapping:
                return getattr(transformers, name).from_config(made)
    raise NotCounted(f"transformers has no {architecture or config['model_type']}")


def count_all() -> dict[str, dict[str, int]]:
    """The shipped catalogue's by id; says on stderr what was not counted."""
    found: dict[str, dict[str, int]] = {}
    for manifest in read_catalogue(shipped("models")):
        try:
            found[manifest.id] = count(manifest)
        except NotCounted as reason:
            print(f"{manifest.id} is not counted: {reason}", file=sys.stderr)
    return found


def main() -> None:
    Path(sys.argv[1]).write_text(json.dumps(count_all(), indent=1) + "\n")


if __name__ == "__main__":
    main()
