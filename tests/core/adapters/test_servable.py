"""Our rules on adapters, and the installed vLLM's on the same configs."""

from typing import Any, get_args

import pytest

from freehold.core.adapters import ENGINE_RANKS, check_servable, engine_rank, refusals
from freehold.core.errors import RefusedError

PLAIN: dict[str, Any] = {"peft_type": "LORA", "r": 16, "lora_alpha": 32, "target_modules": ["q_proj"], "bias": "none"}

SERVED = [
    {},
    {"use_rslora": True},
    {"r": 512},
    {"rank_pattern": {"q_proj": 8}, "alpha_pattern": {"q_proj": 4.0}},
    {"modules_to_save": None, "use_dora": False, "layer_replication": None},
    {"modules_to_save": ["score"]},
    *({"init_lora_weights": start} for start in (True, False, "gaussian", "eva", "orthogonal", "mica", "lora_ga")),
]
REFUSED = [
    ({"use_dora": True}, "`use_dora` is set"),
    ({"lora_bias": True}, "`lora_bias` is set"),
    ({"alora_invocation_tokens": [1, 2]}, "`alora_invocation_tokens` is set"),
    ({"layer_replication": [[0, 2]]}, "`layer_replication` is set"),
    ({"use_bdlora": {"nblocks": 2}}, "`use_bdlora` is set"),
    ({"use_qalora": True}, "`use_qalora` is set"),
    ({"bias": "all"}, "`bias` is all"),
    ({"modules_to_save": ["lm_head"]}, "`modules_to_save` names lm_head"),
    ({"modules_to_save": ["score", "embed_tokens"]}, "`modules_to_save` names embed_tokens"),
    ({"r": 64}, "`r` is 64, above the engine's `--max-lora-rank` of 32"),
    ({"rank_pattern": {"q_proj": 64}}, "`r` is 64, above the engine's"),
    ({"r": 0}, "must be positive whole numbers"),
    ({"rank_pattern": {"q_proj": 0}}, "must be positive whole numbers"),
    *(
        ({"init_lora_weights": start}, f"`init_lora_weights` is {start}")
        for start in ("pissa", "pissa_niter_4", "olora", "corda", "loftq")
    ),
]
STRICTER = [
    ({"peft_type": "IA3"}, "`peft_type` is IA3"),
    ({"trainable_token_indices": [3]}, "`trainable_token_indices` is set"),
    ({"kasa_config": {"beta": 1.0}}, "`kasa_config` is set"),
]


def served_by_vllm(config: dict[str, Any], max_rank: int) -> bool:
    peft_helper = pytest.importorskip("vllm.lora.peft_helper")
    from vllm.config.lora import LoRAConfig

    try:
        peft_helper.PEFTHelper.from_dict(config).validate_legal(LoRAConfig(max_lora_rank=max_rank))
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("change", SERVED, ids=str)
def test_what_an_engine_serves(change: dict[str, Any]) -> None:
    assert refusals(PLAIN | change) == []
    assert served_by_vllm(PLAIN | change, 512)


@pytest.mark.parametrize(("change", "reason"), REFUSED, ids=str)
def test_what_an_engine_refuses_is_named(change: dict[str, Any], reason: str) -> None:
    (found,) = refusals(PLAIN | change, max_rank=32)

    assert found.startswith(reason) or reason in found
    assert not served_by_vllm(PLAIN | change, 32)


@pytest.mark.parametrize(("change", "reason"), STRICTER, ids=str)
def test_what_vllm_would_read_past_is_refused_too(change: dict[str, Any], reason: str) -> None:
    (found,) = refusals(PLAIN | change)

    assert found.startswith(reason)


def test_all_reasons_come_at_once_with_what_to_do() -> None:
    with pytest.raises(RefusedError) as refusal:
        check_servable(PLAIN | {"use_dora": True, "init_lora_weights": "pissa", "r": 1024}, name="mine")

    assert refusal.value.what == "no engine serves mine as it is"
    assert [name in refusal.value.why for name in ("use_dora", "init_lora_weights", "`r` is 1024")] == [True] * 3
    assert "output: {merge: true}" in refusal.value.next_step


def test_the_ranks_are_those_of_the_installed_vllm() -> None:
    lora = pytest.importorskip("vllm.config.lora")

    assert get_args(lora.MaxLoRARanks) == ENGINE_RANKS


@pytest.mark.parametrize(("ranks", "expected"), [([], 1), ([1], 1), ([4, 16], 16), ([257], 320), ([512, 1], 512)])
def test_an_engine_is_started_for_the_smallest_rank_that_fits_all(ranks: list[int], expected: int) -> None:
    assert engine_rank(ranks) == expected


def test_no_engine_is_started_for_a_rank_above_the_largest() -> None:
    with pytest.raises(RefusedError, match="no engine serves an adapter of rank 513"):
        engine_rank([8, 513])
