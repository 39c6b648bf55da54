"""Parameters by what they are for: what the catalogue holds is what publishers say, and files are counted alike."""

import pytest

from freehold.core.manifest import ModelManifest, load_catalogue
from freehold.core.model.tensors import Tensor
from freehold.core.plan.parts import kind_of, parts_of
from freehold.core.plan.subject import catalogued_parts, subject_of_manifest

COUNTED = [each for each in load_catalogue() if each.id in catalogued_parts() and "text" in each.modalities.gives]
ROUNDED = {"deepseek-r1-distill-qwen-7b": 0.09, "glm-ocr": 0.24}
"""Publishers whose number is further from their own config: 7B stands for 7.6, and 0.9B for 1.1 without its head."""

NAMES = {
    "model.embed_tokens.weight": "embedding",
    "lm_head.weight": "head",
    "model.layers.3.self_attn.q_proj.weight": "attention",
    "model.layers.3.linear_attn.in_proj_qkvz.weight": "attention",
    "model.layers.3.mlp.up_proj.weight": "dense",
    "model.layers.3.mlp.shared_experts.up_proj.weight": "dense",
    "model.layers.3.mlp.experts.7.up_proj.weight": "experts",
    "model.layers.3.mlp.experts.gate_up_proj": "experts",
    "model.layers.3.mlp.gate.weight": "routers",
    "model.layers.3.mlp.gate_proj.weight": "dense",
    "model.layers.3.mlp.router.weight": "routers",
    "model.layers.4.self_attn.q_proj.weight": "drafting",
    "model.layers.3.self_attn.compressor.kv_proj.weight": "rest",
    "model.layers.3.self_attn.compressor.indexer.gate_proj.weight": "rest",
    "model.layers.3.self_attn.compressor.indexer.q_b_proj.weight": "attention",
    "model.layers.3.self_attn.compressor.indexer.scorer.weights_proj.weight": "rest",
    "model.layers.3.ffn_hc.fn": "rest",
    "layers.3.attn.compressor.wkv.weight": "rest",
    "layers.3.attn.indexer.wq_b.weight": "attention",
    "layers.3.attn.indexer.weights_proj.weight": "rest",
    "layers.3.hc_attn_fn": "rest",
    "layers.3.ffn.experts.7.w1.weight": "experts",
    "layers.3.ffn.shared_experts.w1.weight": "dense",
    "embed.weight": "embedding",
    "head.weight": "head",
    "mtp.0.head.weight": "drafting",
    "mtp.layers.0.mlp.up_proj.weight": "drafting",
    "model.visual.blocks.0.attn.qkv.weight": "outside",
    "model.vision_tower.layers.9.mlp.fc1.weight": "outside",
    "multi_modal_projector.linear_1.weight": "outside",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_tensor_is_known_by_its_name(name: str) -> None:
    assert kind_of(name, 2, layers=4) == NAMES[name]


def test_what_has_one_dimension_is_never_quantized() -> None:
    assert kind_of("model.layers.0.self_attn.q_proj.bias", 1, layers=4) == "rest"


def test_amounts_add_up() -> None:
    tensors = {"model.embed_tokens.weight": Tensor("BF16", (4, 3), 24), "mtp.fc.weight": Tensor("F32", (2, 2), 16)}
    parts = parts_of(tensors, layers=1)
    assert (parts["embedding"].elements, parts["embedding"].size_bytes) == (12, 24)
    assert parts.served.size_bytes == 24


@pytest.mark.parametrize("manifest", COUNTED, ids=lambda each: each.id)
def test_the_sum_is_what_the_publisher_says(manifest: ModelManifest) -> None:
    counted = subject_of_manifest(manifest).parts.served.elements
    assert counted == pytest.approx(manifest.parameters_total, rel=ROUNDED.get(manifest.id, 0.05))


@pytest.mark.parametrize("manifest", [each for each in COUNTED if each.parameters_active], ids=lambda each: each.id)
def test_what_a_token_meets_is_what_the_publisher_says(manifest: ModelManifest) -> None:
    assert manifest.parameters_active is not None
    active = subject_of_manifest(manifest).active
    assert active == pytest.approx(manifest.parameters_active, rel=0.2)


def test_enough_of_the_catalogue_can_be_planned_for() -> None:
    assert len(COUNTED) >= 40
