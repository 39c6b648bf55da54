"""The variants that are measured: honest ways to run the same model, and ways to be another one."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

Weights = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Variant:
    """One row of the table."""

    name: str
    honest: bool
    engine: dict[str, Any] = field(default_factory=lambda: {"dtype": "float32"})
    change: Callable[[Path], None] | None = None
    """Applied to a copy of the artifact's folder."""
    own_reference: bool = False
    """The reference is computed from the changed folder, as `pull` and `quantize` do for an artifact of its own."""


def _on_weights(change: Callable[[Weights], None]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / "model.safetensors"
        weights = load_file(path)
        change(weights)
        save_file(weights, path, metadata={"format": "pt"})

    return apply


def _scramble_one(weights: Weights) -> None:
    tensor = weights["model.layers.15.mlp.down_proj.weight"]
    order = torch.randperm(tensor.shape[0], generator=torch.Generator().manual_seed(0))
    weights["model.layers.15.mlp.down_proj.weight"] = tensor[order].contiguous()


def _swap_layers(weights: Weights) -> None:
    for name in [name for name in weights if ".layers.10." in name]:
        other = name.replace(".layers.10.", ".layers.11.")
        weights[name], weights[other] = weights[other], weights[name]


def _noise(share: float) -> Callable[[Weights], None]:
    def change(weights: Weights) -> None:
        generator = torch.Generator().manual_seed(0)
        for name, tensor in weights.items():
            if tensor.ndim == 2:
                noise = torch.randn(tensor.shape, generator=generator) * tensor.float().std() * share
                weights[name] = (tensor.float() + noise).to(tensor.dtype)

    return change


def _edit_json(name: str, change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        data = json.loads((folder / name).read_bytes())
        change(data)
        (folder / name).write_text(json.dumps(data))

    return apply


def _wrong_template(folder: Path) -> None:
    template = "{% for m in messages %}[INST] {{ m['content'] }} [/INST]{% endfor %}"
    (folder / "chat_template.jinja").write_text(template)


def _bitsandbytes(**options: Any) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

        config = BitsAndBytesConfig(**options)
        model = AutoModelForCausalLM.from_pretrained(folder, quantization_config=config, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        shutil.rmtree(folder)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)

    return apply


VARIANTS = (
    Variant("float32", honest=True),
    Variant("bfloat16", honest=True, engine={"dtype": "bfloat16"}),
    Variant("float16", honest=True, engine={"dtype": "float16"}),
    Variant(
        "int8 weight-only, quantized while loading",
        honest=True,
        engine={"dtype": "bfloat16", "extraArgs": ["--quantization", "int8_per_channel_weight_only"]},
    ),
    Variant(
        "nf4, quantized while loading",
        honest=True,
        engine={"dtype": "bfloat16", "extraArgs": ["--quantization", "bitsandbytes"]},
    ),
    Variant(
        "nf4 artifact, own reference",
        honest=True,
        engine={"dtype": "bfloat16"},
        change=_bitsandbytes(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32),
        own_reference=True,
    ),
    Variant("rows of one matrix permuted", honest=False, change=_on_weights(_scramble_one)),
    Variant("two neighbouring layers swapped", honest=False, change=_on_weights(_swap_layers)),
    Variant("weights with 2 % noise", honest=False, change=_on_weights(_noise(0.02))),
    Variant("weights with 10 % noise", honest=False, change=_on_weights(_noise(0.10))),
    Variant(
        "rope theta of another model",
        honest=False,
        change=_edit_json("config.json", lambda c: c["rope_parameters"].update(rope_theta=10000.0)),
    ),
    Variant("another chat template", honest=False, change=_wrong_template),
)
