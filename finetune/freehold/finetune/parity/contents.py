"""What an adapter's and a model's files hold, read without loading a model."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from freehold.core.errors import IntegrityError

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
PEFT_PREFIX = "base_model.model."
"""peft's wrapper around the base; engines take it away and look for the rest among the modules of the base."""

_FACTORS = (".lora_A", ".lora_B", ".lora_embedding_A", ".lora_embedding_B")


@dataclass(frozen=True)
class AdapterContents:
    """`adapter_config.json`, and the modules of the weights file."""

    config: dict[str, Any]
    modules: frozenset[str]
    """Modules with an update, as the keys name them, prefix included."""
    broken: tuple[str, ...]
    """Keys of tensors that hold NaN or infinity."""
    is_zero: bool
    """No update changes anything: each second factor is zero, as before training."""


def read_adapter(folder: Path) -> AdapterContents:
    """Read an adapter's folder. Raises IntegrityError when it is none."""
    try:
        config: Any = json.loads((folder / ADAPTER_CONFIG).read_bytes())
        with safe_open(folder / ADAPTER_WEIGHTS, framework="pt") as weights:
            tensors = {key: weights.get_tensor(key) for key in weights.keys()}  # noqa: SIM118
    except (OSError, ValueError) as error:
        raise IntegrityError(
            f"{folder} holds no adapter that can be read",
            why=str(error),
            next_step="Run `freehold store verify`, or train it again.",
        ) from error
    seconds = [tensor for key, tensor in tensors.items() if "_B" in key]
    return AdapterContents(
        config=config,
        modules=frozenset(module for key in tensors if (module := _module(key))),
        broken=tuple(key for key, tensor in tensors.items() if not torch.isfinite(tensor).all()),
        is_zero=not any(bool(tensor.any()) for tensor in seconds),
    )


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a model."""
    return sorted(folder.glob("model*.safetensors"))


def model_modules(folder: Path) -> frozenset[str]:
    """Names of the modules with a weight, from the headers of a model's files."""
    names: set[str] = set()
    for path in weight_files(folder):
        with safe_open(path, framework="pt") as weights:
            names.update(weights.keys())
    # A head that shares the embedding's weight is not written, and is a module all the same.
    return frozenset({"lm_head", *(name.removesuffix(".weight") for name in names if name.endswith(".weight"))})


def _module(key: str) -> str:
    """The module of a LoRA key; empty for another tensor."""
    return next((key[: key.index(factor)] for factor in _FACTORS if factor in key), "")
