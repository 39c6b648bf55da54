"""Whether an adapter does anything at all: one that equals zero, or is not a number, is no result."""

from pathlib import Path

import torch
from safetensors import safe_open

from freehold.core.errors import IntegrityError


def check_has_effect(adapter: Path) -> None:
    """Raises IntegrityError when the adapter's tensors are not finite, or all its B matrices are zero.

    LoRA's update is B·A, and B starts at zero: that it still is means that nothing was learnt.
    """
    with safe_open(adapter / "adapter_model.safetensors", framework="pt") as tensors:
        names = list(tensors.keys())
        broken = [name for name in names if not torch.isfinite(tensors.get_tensor(name)).all()]
        if broken:
            raise IntegrityError(
                "The trained adapter is broken",
                why=f"{len(broken)} of {len(names)} tensors hold NaN or infinity, {broken[0]} among them",
                next_step="Train again with a lower `training.learningRate`, or `training.precision: float32`.",
            )
        updates = [name for name in names if "lora_B" in name or "lora_embedding_B" in name]
        others = [name for name in names if "lora_" not in name]
        if not others and not any(tensors.get_tensor(name).any() for name in updates):
            raise IntegrityError(
                "The trained adapter changes nothing",
                why=f"all {len(updates)} B matrices are zero" if updates else "it holds no LoRA matrices",
                next_step="Look at what is learnt with `freehold dataset show --mask`, and at the learning rate.",
            )
