"""Everything that can refuse a run, before anything is loaded."""

import json
import shutil
from dataclasses import dataclass
from typing import Any

from freehold.core.errors import EnvironmentProblem, RefusedError
from freehold.core.gates import require_verdict
from freehold.core.memory import free_memory
from freehold.core.model.loading import skeleton
from freehold.core.progress import human_bytes
from freehold.core.store import Artifact, Store
from freehold.quantize.layers import Layers, choose_layers
from freehold.quantize.methods.method import Method
from freehold.quantize.tools.registry import TOOLS


@dataclass(frozen=True)
class Request:
    """What is wanted of a run."""

    method: Method
    calibration: tuple[str, ...]
    samples: int = 128
    sequence_length: int = 512
    seed: int = 0
    group_size: int | None = None
    iterations: int | None = None
    name: str | None = None
    accept_parity: bool = False
    """Quantize a merged model that its parity gate has not passed."""


@dataclass(frozen=True)
class Plan:
    """A run that nothing speaks against."""

    layers: Layers
    device: str
    expected_bytes: int
    needed_bytes: int
    """Memory that the tool takes at its peak, estimated."""

    def facts(self) -> dict[str, Any]:
        """What `--dry-run` shows."""
        return {
            "device": self.device,
            "layers": len(self.layers.quantized),
            "kept": ", ".join(self.layers.kept) or "none",
            "group_size": self.layers.group_size or "a channel",
            "weights": human_bytes(self.expected_bytes),
            "memory": human_bytes(self.needed_bytes),
        }


def prepare(base: Artifact, request: Request, store: Store) -> Plan:
    """The run as it would be. Raises RefusedError for what should not be, EnvironmentProblem for what cannot be."""
    _check_base(base)
    if any(step.name == "merge" for step in base.lineage.steps) and not request.accept_parity:
        require_verdict(store, base, "parity", judge=f"freehold parity {base.id}", accept="--accept-parity")
    layers = choose_layers(
        skeleton(base.path, remote_code="remote-code" in base.lineage.allowed), request.method, request.group_size
    )
    device = _device()
    expected = layers.expected_bytes(request.method)
    plan = Plan(layers, device, expected, TOOLS[request.method.tool].memory(base, layers, request.samples))
    free = free_memory(device)
    if plan.needed_bytes > free:
        raise EnvironmentProblem(
            f"Quantizing {base.id} needs about {human_bytes(plan.needed_bytes)} of memory",
            why=f"{human_bytes(free)} are free on {device}",
            next_step="Free some, give fewer samples (--samples), or run it on a larger machine.",
        )
    disk = shutil.disk_usage(store.root).free
    if 2 * expected > disk:  # finished layers and the result
        raise EnvironmentProblem(
            f"Quantizing {base.id} needs about {human_bytes(2 * expected)} of disk",
            why=f"{human_bytes(disk)} are free at {store.root}",
        )
    return plan


def _check_base(base: Artifact) -> None:
    if base.lineage.kind == "adapter":
        raise RefusedError(
            f"{base.id} is an adapter",
            why="an adapter has no weights of its own to quantize",
            next_step=f"Merge it first: `freehold merge {base.name}`, then `freehold parity {base.name}-merged`.",
        )
    config = json.loads((base.path / "config.json").read_bytes())
    if found := config.get("quantization_config"):
        raise RefusedError(
            f"{base.id} is quantized already",
            why=f"its config says {found.get('quant_method') or found.get('format') or 'so'}",
            next_step="Quantize the model it was made from: what was lost does not come back.",
        )


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
