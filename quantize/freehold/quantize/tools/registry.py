"""The tools there are: how each is started, and what it needs."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from freehold.core.settings import Settings
from freehold.core.store import Artifact
from freehold.quantize.layers import Layers
from freehold.quantize.methods.method import Tool


@dataclass(frozen=True)
class ToolSpec:
    """One program that quantizes."""

    command: Callable[[Settings], tuple[str, ...]]
    """Program and arguments, to which the order's path is added; makes the tool's environment where it has one."""
    memory: Callable[[Artifact, Layers, int], int]
    """Bytes at the peak, by artifact, layers and number of samples."""
    distributions: tuple[str, ...]
    iterations: int = 0
    """Rounds of tuning per layer."""

    def versions(self) -> dict[str, str]:
        """Of what does the work, as far as it is installed here."""
        found = {}
        for name in self.distributions:
            try:
                found[name] = version(name)
            except PackageNotFoundError:
                continue
        return found


def _here(module: str) -> Callable[[Settings], tuple[str, ...]]:
    return lambda settings: (sys.executable, "-m", module)


def _whole_model(artifact: Artifact, layers: Layers, samples: int) -> int:
    """The model in 32 bits and a gigabyte of libraries."""
    parameters = layers.quantized_parameters + layers.kept_parameters
    return 4 * parameters + (1 << 30)


TOOLS: Mapping[Tool, ToolSpec] = {
    "auto-round": ToolSpec(
        _here("freehold.quantize.tools.auto_round"), _whole_model, ("auto-round", "torch", "transformers"), 50
    ),
    "bitsandbytes": ToolSpec(
        _here("freehold.quantize.tools.bitsandbytes"), _whole_model, ("bitsandbytes", "torch", "transformers")
    ),
}
