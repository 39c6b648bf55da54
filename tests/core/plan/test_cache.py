"""Bytes kept of a sequence, against numbers that were worked out by hand from the publishers' configs."""

from typing import Any

import pytest

from freehold.core.errors import UserError
from freehold.core.manifest import load_catalogue
from freehold.core.plan.cache import cache_of, padded, text_config
from freehold.core.plan.kept import Kept


def config(model: str) -> dict[str, Any]:
    found = load_catalogue().require(model).config
    assert found is not None
    return found


def kept_bytes(model: str, tokens: int, tensor_parallel: int = 1, number_bytes: int = 2) -> int:
    return sum(each.sequence_bytes(tokens, number_bytes, tensor_parallel) for each in cache_of(config(model)))


def test_grouped_heads() -> None:
    """64 layers, keys and values of 8 heads of 128 numbers in 16 bits: 256 KiB a token."""
    assert kept_bytes("qwen3-32b", 1024) == 1024 * 64 * 2 * 8 * 128 * 2
    assert kept_bytes("qwen3-32b", 1024, number_bytes=1) == 1024 * 64 * 2 * 8 * 128


def test_heads_are_shared_out_and_no_further_than_there_are() -> None:
    assert kept_bytes("qwen3-32b", 1024, tensor_parallel=8) == 1024 * 64 * 2 * 128 * 2
    assert kept_bytes("qwen3-32b", 1024, tensor_parallel=16) == 1024 * 64 * 2 * 128 * 2


def test_tokens_come_in_whole_blocks() -> None:
    assert kept_bytes("qwen3-32b", 1) == kept_bytes("qwen3-32b", 16) < kept_bytes("qwen3-32b", 17)


def test_a_latent_vector_is_kept_once_on_every_gpu() -> None:
    """GLM-4.7-Flash: 47 layers of 512 + 64 numbers, whatever the number of GPUs."""
    assert kept_bytes("glm-4.7-flash", 16) == kept_bytes("glm-4.7-flash", 16, tensor_parallel=4) == 16 * 47 * 576 * 2


def test_sparse_attention_also_keeps_an_index() -> None:
    """GLM-5.2: 78 layers of 576 numbers; in layers that choose for themselves an index of 128 bytes and a scale."""
    leading = config("glm-5.2")["indexer_types"].count("full")
    assert 0 < leading < 78
    assert kept_bytes("glm-5.2", 16) == 16 * (78 * 576 * 2 + leading * 132)


def test_an_index_is_kept_where_attention_is_and_for_pools_of_tokens() -> None:
    """GLM-5.3-Flash: of 45 layers 11 attend, each with 512 numbers and an index of 132 bytes for 4 tokens."""
    kept = {each.kind: each for each in cache_of(config("glm-5.3-flash")) if each.kind != "state"}
    assert {kind: each.layers for kind, each in kept.items()} == {"latent": 11, "index": 11}
    assert kept["index"].sequence_bytes(1024, 2, 1) == 11 * 1024 // 4 * 132
    assert kept["latent"].sequence_bytes(1024, 2, 1) == 11 * 1024 * 512 * 2


def test_a_window_ends_growth() -> None:
    """gpt-oss: every other layer sees 128 tokens; 36 layers of 8 heads of 64."""
    full, sliding = 18 * 2 * 8 * 64 * 2, 18 * 2 * 8 * 64 * 2
    assert kept_bytes("gpt-oss-120b", 64) == 64 * full + (64 + 16) * sliding
    assert kept_bytes("gpt-oss-120b", 16384) == 16384 * full + (128 + 16) * sliding


def test_what_is_set_aside_for_a_window_counts_the_tokens_in_flight() -> None:
    (window,) = [each for each in cache_of(config("gpt-oss-120b")) if each.kind == "sliding"]
    a_token = window.layers * window.numbers * 2
    assert window.sequence_bytes(16384, 2, 1, in_flight=4096) == (128 + 4096 + 16) * a_token
    assert window.sequence_bytes(2048, 2, 1, in_flight=4096) == (2048 + 16) * a_token


def test_a_state_does_not_grow() -> None:
    """Qwen3.5 9B: three of four layers keep a matrix for each value head, whatever the length."""
    linear = [each for each in cache_of(config("qwen3.5-9b")) if each.kind == "state"]
    (full,) = [each for each in cache_of(config("qwen3.5-9b")) if each.kind == "full"]
    assert sum(each.layers for each in linear) == 3 * full.layers
    assert all(each.sequence_bytes(16, 2, 1) == each.sequence_bytes(1 << 20, 2, 1) > 0 for each in linear)


def test_mixed_kinds_are_padded_to_the_rarest() -> None:
    """Gemma 3 27B: 10 layers of 62 see everything; 52 others make six groups of ten."""
    before = {each.kind: each.layers for each in cache_of(config("gemma-3-27b-it"))}
    after = {each.kind: each.layers for each in padded(cache_of(config("gemma-3-27b-it")))}
    assert (before, after) == ({"sliding": 52, "full": 10}, {"sliding": 60, "full": 10})


@pytest.mark.parametrize(("sliding", "grouped"), [(14, (14, 14)), (15, (10, 20)), (10, (10, 10))])
def test_kinds_that_are_nearly_as_many_are_one_group_each(sliding: int, grouped: tuple[int, int]) -> None:
    """Below half as many again, both are padded to the larger number."""
    kept = (Kept("full", 10, 1), Kept("sliding", sliding, 1, window=128))
    assert tuple(each.layers for each in padded(kept)) == grouped


@pytest.mark.parametrize(
    "change",
    [
        {"compress_ratios": [0, 2, 4]},
        {"compress_ratios": [0, 128]},
        {"compress_ratios": [0, 4, 128], "kv_source_layer_ids": [0]},
        {"layer_types": ["tea_leaves"] * 64},
    ],
)
def test_a_kind_that_is_not_known_is_no_guess(change: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="does not know layers") as error:
        cache_of(config("qwen3-32b") | change)
    assert "freehold serve" in error.value.next_step


def test_v4_1_shares_what_it_keeps_in_ways_that_are_not_known() -> None:
    with pytest.raises(UserError, match="compression by 0, 1, 2"):
        cache_of(config("deepseek-v4.1-flash"))


def test_blocks_of_keys_are_chosen_by_an_index_beside_them() -> None:
    """MiniMax M3: 60 layers of 4 heads of 128; in 57 an index of 128 numbers in 16 bits, on every GPU."""
    keys, index = 60 * 2 * 4 * 128, 57 * 128 * 2
    assert kept_bytes("minimax-m3", 1024) == 1024 * (2 * keys + index)
    assert kept_bytes("minimax-m3", 1024, number_bytes=1) == 1024 * (keys + index)
    assert kept_bytes("minimax-m3", 1024, tensor_parallel=8) == 1024 * (2 * keys // 4 + index)
    assert kept_bytes("minimax-m3", 1) == kept_bytes("minimax-m3", 128) < kept_bytes("minimax-m3", 129)
    kept = cache_of(config("minimax-m3"))
    assert padded(kept) == kept


def test_of_chosen_blocks_a_step_reads_no_more() -> None:
    """MiniMax M3: 16 blocks of 128 tokens, and the whole index."""
    sparse = {each.kind: each for each in cache_of(config("minimax-m3"))}
    token = 2 * 4 * 128 * 2
    assert sparse["full"].read_bytes(10_000, 2, 1) == 3 * 10_000 * token
    assert sparse["sparse"].read_bytes(1_000, 2, 1) == 57 * 1_000 * token
    assert sparse["sparse"].read_bytes(10_000, 2, 1) == 57 * 2048 * token
    assert sparse["sparse"].read_bytes(10_000, 2, 8) == 57 * 2048 * token / 4
    assert sparse["index"].read_bytes(10_000, 2, 8) == 57 * 10_000 * 256


def test_a_prompt_is_attended_to_half_and_within_limits() -> None:
    """Over a prompt of 8192 tokens: half of it where all is seen; of 2048 at most, 2048 once so many are there."""
    attended = {each.kind: each.attended(8192) for each in cache_of(config("minimax-m3"))}
    assert attended == {"full": 4096, "index": 4096, "sparse": (2048 * 1024 + 6144 * 2048) / 8192}


def test_what_configs_leave_out_is_what_transformers_assumes() -> None:
    from transformers.models.gemma3.configuration_gemma3 import Gemma3TextConfig

    assumed = Gemma3TextConfig(num_hidden_layers=62)
    text = text_config({"model_type": "gemma3_text", "num_hidden_layers": 62})
    assert assumed.vocab_size == text["vocab_size"]
    assert assumed.max_position_embeddings == text["max_position_embeddings"]
    kinds = cache_of(text | {"hidden_size": 64, "num_attention_heads": 4, "sliding_window": 512})
    assert {each.kind: each.layers for each in kinds} == {
        "sliding": assumed.layer_types.count("sliding_attention"),
        "full": assumed.layer_types.count("full_attention"),
    }


def test_llama_4_sees_everything_in_every_fourth_layer() -> None:
    found = {each.kind: (each.layers, each.window) for each in cache_of(config("llama-4-scout-17b-16e-instruct"))}
    assert found == {"sliding": (36, 8192), "full": (12, None)}
