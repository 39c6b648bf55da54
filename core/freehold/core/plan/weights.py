"""Bytes of a model's weights at a precision, and each GPU's share of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from freehold.core.errors import UserError
from freehold.core.plan.parts import Parts

WIDTHS: Mapping[str, float] = {
    "fp32": 4.0,
    "bf16": 2.0,
    "fp16": 2.0,
    "fp8": 1.0 + 4 / (128 * 128),  # a scale for a square of 128, or less
    "int8": 1.0,
    "int4": 0.5 + 2 / 128,  # a scale in 16 bits for 128 weights
    "nvfp4": 0.5 + 1 / 16,
    "mxfp4": 0.5 + 1 / 32,
    "nf4": 0.5 + 1 / 64 + 4 / (64 * 256),  # an 8-bit constant for 64, and one of 32 bits for 256 of those
}
"""Bytes of a weight in a layer that is quantized, its scales included."""
KEPT_WIDTH = 2
"""Bytes of a weight that is not: embeddings, head, routers, norms, towers."""
QUANTIZED = ("attention", "dense", "experts")
MIXED = "mixed"
MIXED_EXPERTS: Mapping[str, str] = {"fp4": "mxfp4", "fp8": "fp8"}
"""Of DeepSeek V4, by its config's `expert_dtype`."""


@dataclass(frozen=True)
class Weights:
    """Bytes of what an engine loads, by part."""

    layers: int
    """Bytes that tensor and expert parallelism share out, of all layers."""
    ends: tuple[int, int]
    """Of the embedding and of the head; of a tied head, nothing."""
    everywhere: int
    """What every GPU of a stage holds: routers, norms and what else is not shared out."""
    outside: int
    experts: int
    """Of `layers`, those of experts."""

    @property
    def total(self) -> int:
        return self.layers + sum(self.ends) + self.everywhere + self.outside

    def on_each_gpu(self, tensor_parallel: int, pipeline_parallel: int, layer_count: int) -> int:
        """On the fullest one: the stages have whole layers, and the first and the last also an end."""
        share = ceil(layer_count / pipeline_parallel) / layer_count
        ends = sum(self.ends) if pipeline_parallel == 1 else max(self.ends)
        return round(((self.layers * share) + ends + self.outside) / tensor_parallel + self.everywhere * share)


def widths_of(precision: str, config: Mapping[str, Any], *, own: bool) -> Mapping[str, float]:
    """Bytes of a weight by part, of a model as it is published (`own`) or made from it.

    `mixed` is DeepSeek V4's: 4 bits in blocks of 32 for experts, unless `expert_dtype` says otherwise, 8 bits for the
    rest (vLLM 0.32.0, vllm/models/deepseek_v4/quant_config.py: DeepseekV4FP8Config). Raises UserError for a precision
    that is not known.
    """
    if own and precision == MIXED and (experts := MIXED_EXPERTS.get(_mixed_experts(config))):
        return {"attention": WIDTHS["fp8"], "dense": WIDTHS["fp8"], "experts": WIDTHS[experts]}
    if precision not in WIDTHS:
        raise UserError(
            f"The planner does not know which layers are how wide in {precision!r}",
            why=f"it knows {', '.join(WIDTHS)}",
            next_step="Pull the model, and plan for what was pulled: its files say it.",
        )
    kept = kept_parts(config) if own else ()
    return {kind: (KEPT_WIDTH if kind in kept else WIDTHS[precision]) for kind in QUANTIZED}


def _mixed_experts(config: Mapping[str, Any]) -> str:
    return str(config.get("expert_dtype")) if config.get("model_type") == "deepseek_v4" else ""


def weights_of(parts: Parts, widths: Mapping[str, float]) -> Weights:
    """With `widths` for the parts of QUANTIZED; the others stay in 16 bits."""
    return _weights({kind: parts[kind].elements * widths.get(kind, KEPT_WIDTH) for kind in parts.amounts})


def weights_as_stored(parts: Parts) -> Weights:
    """As the files have them."""
    return _weights({kind: parts[kind].size_bytes for kind in parts.amounts})


def _weights(sizes: Mapping[str, float]) -> Weights:
    return Weights(
        layers=round(sum(sizes[kind] for kind in QUANTIZED)),
        ends=(round(sizes["embedding"]), round(sizes["head"])),
        everywhere=round(sizes["routers"] + sizes["rest"]),
        outside=round(sizes["outside"]),
        experts=round(sizes["experts"]),
    )


def kept_parts(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Parts that a quantized checkpoint leaves alone, by what its `quantization_config` excepts."""
    found = config.get("quantization_config") or {}
    names = " ".join(
        str(name)
        for field in ("modules_to_not_convert", "ignored_layers", "ignore", "exclude_modules")
        for name in found.get(field) or ()
    )
    told = {"attention": ("attn", "attention"), "dense": ("shared_expert", "mlp.gate_proj"), "experts": ("experts.",)}
    return tuple(kind for kind, words in told.items() if any(word in names for word in words))
