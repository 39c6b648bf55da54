"""Targets on the real architectures, made small and without weights; peft has the last word on what they hit."""

from functools import cache
from typing import Any

import pytest

from freehold.core.errors import RefusedError, UserError
from freehold.finetune.recipe import Recipe
from freehold.finetune.targets import Targets, choose_targets

SMALL = {
    "vocab_size": 64,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "max_position_embeddings": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
ROUTED = {"num_experts_per_tok": 2, "moe_intermediate_size": 32}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama": {},
    "mixtral": {"num_local_experts": 4},
    "qwen2_moe": {"num_experts": 4, "shared_expert_intermediate_size": 32},
    "qwen3_moe": {"num_experts": 4},
    "deepseek_v3": {
        "n_routed_experts": 4,
        "n_group": 2,
        "topk_group": 1,
        "q_lora_rank": 16,
        "kv_lora_rank": 16,
        "qk_rope_head_dim": 16,
        "qk_nope_head_dim": 16,
        "v_head_dim": 16,
        "first_k_dense_replace": 1,
    },
    "glm4_moe": {"n_routed_experts": 4, "n_group": 1, "topk_group": 1, "first_k_dense_replace": 1},
    "minimax": {"num_local_experts": 4},
    "minimax_m2": {"num_local_experts": 4},
    "gpt_oss": {"num_local_experts": 4, "layer_types": ["full_attention", "full_attention"]},
}
MIXTURES = [name for name in ARCHITECTURES if name != "llama"]
ATTENTION = ("k_proj", "o_proj", "q_proj", "v_proj")
CHOSEN = {
    "llama": ("down_proj", "gate_proj", *ATTENTION[:2], "q_proj", "up_proj", "v_proj"),
    "mixtral": ATTENTION,
    "qwen2_moe": ("down_proj", "gate_proj", *ATTENTION[:3], "shared_expert_gate", "up_proj", "v_proj"),
    "qwen3_moe": ATTENTION,
    "deepseek_v3": ("kv_a_proj_with_mqa", "kv_b_proj", "o_proj", "q_a_proj", "q_b_proj"),
    "glm4_moe": ATTENTION,
    "minimax": ("k_proj", "o_proj", "out_proj", "output_gate", "q_proj", "qkv_proj", "v_proj"),
    "minimax_m2": ATTENTION,
    "gpt_oss": ATTENTION,
}


@cache
def tree(architecture: str) -> Any:
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    config = CONFIG_MAPPING[architecture](**SMALL | ROUTED | ARCHITECTURES[architecture])
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config)


def recipe(*, merge: bool = False, **lora: Any) -> Recipe:
    return Recipe.model_validate({"model": "m", "data": {"train": ["f"]}, "lora": lora, "output": {"merge": merge}})


def adapted(architecture: str, targets: Targets) -> set[str]:
    """Paths, without the layer's number, that peft puts an adapter on."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=2,
        target_modules=list(targets.modules),
        target_parameters=list(targets.parameters) or None,
    )
    tree.cache_clear()  # peft changes the model it is given
    model = get_peft_model(tree(architecture), config)
    tree.cache_clear()
    names = [name for name, _ in model.named_parameters() if ".lora_A." in name]
    return {name.split(".layers.")[1].split(".", 1)[1].split(".lora_A.")[0] for name in names}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_linear_layer_but_head_experts_and_routers_gets_an_adapter(architecture: str) -> None:
    targets = choose_targets(tree(architecture), recipe())

    assert targets.modules == tuple(sorted(CHOSEN[architecture]))
    hit = adapted(architecture, targets)
    assert {path.rpartition(".")[2] for path in hit} == set(CHOSEN[architecture])
    assert not any("experts" in path or path.endswith((".gate", ".router")) for path in hit)


@pytest.mark.parametrize("architecture", MIXTURES)
def test_what_a_mixture_leaves_out_is_said(architecture: str) -> None:
    notes = choose_targets(tree(architecture), recipe()).notes

    assert "experts and routers get no adapter (`lora.experts` is off)" in notes
    shared = [note for note in notes if "shared_experts.down_proj" in note]
    assert bool(shared) == (architecture in ("deepseek_v3", "glm4_moe"))


def test_a_dense_model_has_nothing_to_say() -> None:
    assert choose_targets(tree("llama"), recipe()).notes == ()


@pytest.mark.parametrize("architecture", MIXTURES)
def test_experts_are_adapted_on_purpose(architecture: str) -> None:
    targets = choose_targets(tree(architecture), recipe(experts=True, merge=True))

    block = {"mlp.experts", "mlp.experts.base_layer"}
    hit = adapted(architecture, targets)
    assert block <= hit
    assert not any(path.endswith((".gate", ".router")) for path in hit)


@pytest.mark.parametrize("architecture", MIXTURES)
def test_experts_that_no_engine_serves_as_an_adapter_must_be_merged(architecture: str) -> None:
    if architecture == "gpt_oss":
        assert choose_targets(tree(architecture), recipe(experts=True)).parameters
        return
    with pytest.raises(RefusedError, match="no engine serves an adapter on the experts of") as refusal:
        choose_targets(tree(architecture), recipe(experts=True))
    assert "output: {merge: true}" in refusal.value.next_step


def test_only_architectures_that_vllm_loads_as_stacks_are_served() -> None:
    """From vLLM's own source: classes with `is_3d_moe_weight`."""
    import importlib.util
    from pathlib import Path

    from freehold.finetune.targets import SERVED_EXPERTS

    found = importlib.util.find_spec("vllm")
    if found is None or found.origin is None:
        pytest.skip("vLLM is not installed")
    models = Path(found.origin).parent / "model_executor" / "models"
    for architecture in SERVED_EXPERTS:
        source = (models / "gpt_oss.py").read_text()
        body = source.split(f"class {architecture}", 1)[1].split("\nclass ", 1)[0]
        assert "is_3d_moe_weight: typing.ClassVar[bool] = True" in body


def test_experts_of_a_dense_model_are_a_mistake() -> None:
    with pytest.raises(UserError, match="LlamaForCausalLM is no mixture of experts"):
        choose_targets(tree("llama"), recipe(experts=True))


def test_dropout_does_not_reach_experts() -> None:
    with pytest.raises(UserError, match="`lora.dropout` does not go with `lora.experts`"):
        choose_targets(tree("mixtral"), recipe(experts=True, merge=True, dropout=0.1))


def test_names_are_taken_as_written() -> None:
    assert choose_targets(tree("llama"), recipe(targets=["q_proj", "mlp.up_proj"])).modules == ("q_proj", "up_proj")
    one = choose_targets(tree("llama"), recipe(targets=["layers.1.self_attn.q_proj"]))
    assert one.modules == ("model.layers.1.self_attn.q_proj",)


def test_a_name_that_matches_nothing_lists_what_there_is() -> None:
    with pytest.raises(UserError, match="has no such layer") as refusal:
        choose_targets(tree("llama"), recipe(targets=["q_proj", "query"]))
    assert refusal.value.why == "it has down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj"


@pytest.mark.parametrize(("architecture", "name"), [("llama", "lm_head"), ("mixtral", "gate"), ("gpt_oss", "router")])
def test_the_head_and_routers_are_refused(architecture: str, name: str) -> None:
    with pytest.raises(RefusedError, match="no engine serves an adapter there"):
        choose_targets(tree(architecture), recipe(targets=["q_proj", name]))


@pytest.mark.parametrize(("architecture", "name"), [("glm4_moe", "down_proj"), ("mixtral", "gate_up_proj")])
def test_a_name_under_which_peft_adapts_experts_needs_the_switch(architecture: str, name: str) -> None:
    """`down_proj` is a linear layer of GLM too; peft puts the adapter on the experts all the same."""
    with pytest.raises(UserError, match=f"`lora.targets` names {name}, which are experts"):
        choose_targets(tree(architecture), recipe(targets=[name]))


def test_layers_outside_the_language_model_keep_their_names_to_themselves() -> None:
    """A tower with layers of the same names: paths are then written out, and the tower is left alone."""
    import torch

    class WithTower(type(tree("llama"))):  # type: ignore[misc]
        def __init__(self, config: Any) -> None:
            super().__init__(config)
            self.vision_tower = torch.nn.ModuleDict({"q_proj": torch.nn.Linear(4, 4), "patch": torch.nn.Linear(4, 4)})

    with torch.device("meta"):
        model = WithTower(tree("llama").config)
    modules = choose_targets(model, recipe()).modules

    assert "k_proj" in modules and "q_proj" not in modules and "patch" not in modules
    assert "model.layers.0.self_attn.q_proj" in modules
    assert not any("vision" in name for name in modules)
