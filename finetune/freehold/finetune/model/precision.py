"""The arithmetic of a run, chosen by the hardware, and why."""

from dataclasses import dataclass
from typing import Literal

from freehold.core.processor import cpu_has_bfloat16


@dataclass(frozen=True)
class Precision:
    """How weights lie in memory and how they are multiplied."""

    device: Literal["cpu", "cuda"]
    base: Literal["float32", "bfloat16"]
    """Type in which the base's weights are held; the adapter's are always float32."""
    autocast: bool
    """Whether products run in bfloat16."""
    reason: str


def choose_precision(wanted: Literal["auto", "float32", "bfloat16"]) -> Precision:
    """What `training.precision` means on this machine."""
    import torch

    if torch.cuda.is_available():
        if wanted == "float32":
            return Precision("cuda", "float32", False, "the recipe asks for float32")
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return Precision("cuda", "bfloat16", True, f"{torch.cuda.get_device_name()} multiplies bfloat16 itself")
        return Precision("cuda", "float32", False, f"{torch.cuda.get_device_name()} has no bfloat16")
    if wanted == "bfloat16" or (wanted == "auto" and cpu_has_bfloat16()):
        reason = "the recipe asks for bfloat16" if wanted == "bfloat16" else "this processor multiplies bfloat16 itself"
        return Precision("cpu", "bfloat16", True, reason)
    reason = "the recipe asks for float32" if wanted == "float32" else "this processor has no bfloat16 instructions"
    return Precision("cpu", "float32", False, reason)
