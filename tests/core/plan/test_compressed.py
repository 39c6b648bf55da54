"""DeepSeek V4's compressed attention, against numbers that were worked out by hand."""

from typing import Any

import pytest

from freehold.core.manifest import load_catalogue
from freehold.core.plan.cache import cache_of, padded
from freehold.core.plan.engine_memory import Batch, workspace_bytes
from freehold.core.plan.kept import Kept
from freehold.core.plan.subject import subject_of_manifest

TINY: dict[str, Any] = {
    "num_hidden_layers": 3,
    "compress_ratios": [0, 4, 128, 0],
    "sliding_window": 128,
    "head_dim": 512,
    "qk_rope_head_dim": 64,
    "index_head_dim": 128,
    "index_n_heads": 64,
    "index_topk": 512,
}
"""A layer of each ratio, and one for drafting that is not served."""
ENTRY = 448 + 2 * 64 + 8
PAGE = 65 * 576
"""64 entries of 584 bytes, in whole 576."""
HEAVY, INDEX = 3 * 576, 15 * 576
"""2 entries of 584; 64 of 132."""
TAIL = 57 * 576
"""4 tokens of two entries, value and score, of 512 numbers in 32 bits: 32,768 bytes; or 8 tokens of one."""
WIDEST = PAGE + HEAVY + INDEX
"""One layer with entries of 4 tokens, one with entries of 128, and an index: more than any other group."""


def held(tokens: int, in_flight: int = 0) -> int:
    return sum(each.sequence_bytes(tokens, 2, 1, in_flight=in_flight) for each in padded(cache_of(TINY)))


def found(kind: str) -> list[Kept]:
    return [each for each in cache_of(TINY) if each.kind == kind]


def test_every_layer_has_a_window_and_some_have_entries_and_a_tail() -> None:
    assert [(each.layers, each.fixed_bytes) for each in found("sliding")] == [(3, ENTRY)]
    assert [(each.tokens, each.layers, each.fixed_bytes) for each in found("compressed")] == [
        (4, 1, ENTRY),
        (128, 1, ENTRY),
    ]
    assert [(each.tokens, each.fixed_bytes) for each in found("index")] == [(4, 128 + 4)]
    assert sorted((each.window, each.fixed_bytes) for each in found("tail")) == [
        (8, 2 * 2 * 128 * 4),
        (8, 2 * 2 * 512 * 4),
        (128, 2 * 512 * 4),
    ]


def test_a_sequence_takes_blocks_of_every_group_as_wide_as_the_widest() -> None:
    """1,024 tokens: 4 blocks of entries; of 64 tokens 2 + 1 for each of 3 windows; of tails 2 + 1 and 16 + 1."""
    assert held(1024) == (4 + 3 * (2 + 1) + (2 + 1) + (16 + 1)) * WIDEST


def test_only_entries_grow() -> None:
    assert held(1 << 20) - held(1024) == (4096 - 4) * WIDEST


def test_what_must_be_free_counts_the_tokens_in_flight() -> None:
    """8 tokens a block of a tail, and 4: of 4,096 in flight many more than of entries."""
    windows, tails = 3 * (66 + 1), (1026 + 1) + (528 + 1)
    assert held(8192, in_flight=4096) == (32 + windows + tails) * WIDEST


def test_it_is_the_same_in_any_type_of_cache_and_on_every_gpu() -> None:
    for each in padded(cache_of(TINY)):
        assert each.sequence_bytes(8192, 1, 8) == each.sequence_bytes(8192, 2, 1)


def test_flash() -> None:
    """43 windows in two groups; 21 layers by 4 and 20 by 128; the widest group is that of the entries."""
    config = load_catalogue().require("deepseek-v4-flash").config
    assert config is not None
    groups = padded(cache_of(config))
    widest = 21 * PAGE + 20 * HEAVY + 21 * INDEX
    assert widest == 1_002_240 > 22 * PAGE
    assert widest > 21 * (TAIL + INDEX) > 20 * TAIL
    assert {each.fixed_bytes for each in groups} == {widest}
    assert sorted((each.block or 0, each.layers) for each in groups) == [(4, 1), (8, 1), (64, 2), (256, 1)]


def test_a_step_reads_what_the_indexer_selects() -> None:
    """At 100,000 tokens: 512 entries of 25,000 by 4, all of 781.25 by 128, the whole index, and windows of 128."""
    (by_four, by_many), (index,), (window,) = found("compressed"), found("index"), found("sliding")
    assert by_four.read_bytes(100_000, 2, 8) == 512 * ENTRY
    assert by_four.read_bytes(1_000, 2, 8) == 250 * ENTRY
    assert by_many.read_bytes(100_000, 2, 8) == 781.25 * ENTRY
    assert index.read_bytes(100_000, 2, 8) == 25_000 * 132
    assert window.read_bytes(100_000, 2, 8) == 3 * 128 * ENTRY


def test_a_tail_is_read_when_an_entry_is_made() -> None:
    """Of 8 tokens every fourth step, of 128 every 128th."""
    assert sorted(each.read_bytes(100_000, 2, 1) for each in found("tail")) == [2 * 2048, 4096, 2 * 8192]
    assert all(each.attended(1000) == 0 for each in found("tail"))


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        (8192, 8192 * 8 * 5 // 4 * 132),
        (1 << 20, 4 * ((1 << 18) + 128 + 2048) * 512 * 2),
    ],
)
def test_the_workspace_is_the_larger_of_two(context: int, expected: int) -> None:
    """An index for 40 times the context, or four long prompts in 16 bits."""
    flash = subject_of_manifest(load_catalogue().require("deepseek-v4-flash"))
    batch = Batch(tokens=2048 if context > 8192 else 1, sequences=1)
    assert workspace_bytes(flash, batch, context) == expected
    assert workspace_bytes(subject_of_manifest(load_catalogue().require("glm-5.2")), batch, context) == 0
