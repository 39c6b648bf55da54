"""The variants that are measured: the adapter as it was trained, and as it must not be served."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from freehold.core.store import Artifact, FileRecord, Lineage, Store, content_digest, hash_file
from freehold.core.store.lineage import LINEAGE_FILE, artifact_id

Weights = dict[str, torch.Tensor]


def _nothing(folder: Path) -> None:
    """The adapter as it is."""


@dataclass(frozen=True)
class Variant:
    """One row of the table."""

    name: str
    change: Callable[[Path], None] = _nothing
    """Applied to a copy of the adapter's folder."""

    @property
    def is_honest(self) -> bool:
        return self.change is _nothing


def _on_weights(change: Callable[[Weights], Weights]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / "adapter_model.safetensors"
        save_file(change(load_file(path)), path, metadata={"format": "pt"})

    return apply


def _without(part: str) -> Callable[[Path], None]:
    return _on_weights(lambda weights: {key: tensor for key, tensor in weights.items() if part not in key})


def _noise(share: float) -> Callable[[Path], None]:
    def change(weights: Weights) -> Weights:
        generator = torch.Generator().manual_seed(0)
        return {
            key: tensor + torch.randn(tensor.shape, generator=generator) * tensor.std() * share
            for key, tensor in weights.items()
        }

    return _on_weights(change)


def _scaled(factor: float) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / "adapter_config.json"
        config = json.loads(path.read_bytes())
        path.write_text(json.dumps(config | {"lora_alpha": config["lora_alpha"] * factor}))

    return apply


VARIANTS = (
    Variant("as trained"),
    Variant("keys that match nothing", _on_weights(lambda w: {k.replace(".model.model.", ".model."): w[k] for k in w})),
    Variant("no update of any down_proj", _without("down_proj")),
    Variant("no update of layer 15", _without("layers.15.")),
    Variant("no update of one matrix", _without("layers.15.mlp.down_proj")),
    Variant("scale 5 % too large", _scaled(1.05)),
    Variant("scale 25 % too large", _scaled(1.25)),
    Variant("10 % noise on the update", _noise(0.10)),
    Variant("50 % noise on the update", _noise(0.50)),
)


def add(store: Store, variant: Variant, adapter: Artifact, number: int) -> Artifact:
    """The variant as an artifact of its own."""
    with store.staging(f"bench:{number}") as staging:
        staging.result.mkdir(parents=True)
        for path in adapter.path.iterdir():
            if path.name != LINEAGE_FILE:
                (staging.result / path.name).write_bytes(path.read_bytes())
        variant.change(staging.result)
        records = tuple(
            FileRecord(path=path.name, size_bytes=path.stat().st_size, sha256=hash_file(path))
            for path in sorted(staging.result.iterdir())
        )
        name = f"variant-{number}"
        lineage = Lineage(
            id=artifact_id(name, records),
            name=name,
            kind="adapter",
            digest=content_digest(records),
            parents=adapter.lineage.parents,
            files=records,
        )
        return store.add(staging, lineage)
