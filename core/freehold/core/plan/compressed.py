"""DeepSeek V4's compressed attention: what each layer keeps, and how vLLM packs it. Read in vLLM 0.32.0.

Every layer sees a short window as it is. By `compress_ratios`, most layers also see all before it, with 4 or 128 tokens
made into one entry: every one of 128, of 4 those that an indexer selects. What an entry is made of stays in 32 bits
until it is made.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

from freehold.core.plan.kept import Kept

RATIOS = (0, 1, 4, 128)
"""`DeepseekCompressor` knows 4 and 128; below 2 a layer has the window alone (vllm/models/deepseek_v4/attention.py)."""
SELECTING = 4
ALIGNED = 576
"""Of every page in vLLM's layout `fp8_ds_mla` (DeepseekV4Attention.get_kv_cache_spec)."""
BLOCK = 256
"""The only size that the backends take (DeepseekV4IndexerBackend.get_supported_kernel_block_sizes)."""
WINDOW_BLOCK = 64
"""DeepseekV4SWACache (vllm/v1/attention/backends/mla/sparse_swa.py)."""
TAIL_BLOCK = {4: 4, 128: 8}
"""CompressorStateCache (vllm/models/deepseek_v4/compressor.py)."""
SCALED, SCALED_WITH = 64, 1
"""One byte scales so many numbers in 8 bits; one more scale fills the row."""
INDEX_SCALED, INDEX_SCALED_WITH = 128, 4
STATE_BYTES = 4


def compressed(text: Mapping[str, Any]) -> list[Kept]:
    """What layers of each ratio keep; the entries of `compress_ratios` after the decoder's layers are for drafting.

    The cache is in 8 bits, whatever `--kv-cache-dtype` says: rotary numbers in 16, the others in 8 with their scales
    (DeepseekV4Attention.get_kv_cache_spec: 584 bytes at 512 numbers, 64 of them rotary). No head has its own.
    """
    ratios = Counter(max(1, int(ratio)) for ratio in text["compress_ratios"][: int(text["num_hidden_layers"])])
    size, rotary, index = int(text["head_dim"]), int(text["qk_rope_head_dim"]), int(text["index_head_dim"])
    plain = size - rotary
    entry = plain + 2 * rotary + (plain // SCALED + 1) * SCALED_WITH
    window = int(text["sliding_window"])
    layers = int(text["num_hidden_layers"])
    found = [Kept("sliding", layers, fixed_bytes=entry, window=window, block=WINDOW_BLOCK, aligned=ALIGNED)]
    for ratio, layers in ratios.items():
        if ratio == 1:
            continue
        top = int(text["index_topk"]) if ratio == SELECTING else None
        found += [_entries("compressed", layers, entry, ratio, selected=top), _tail(layers, size, ratio)]
        if ratio == SELECTING:
            # DeepseekV4Indexer, in 8 bits as `indexer_kv_dtype` is by default.
            scaled = index + ceil(index / INDEX_SCALED) * INDEX_SCALED_WITH
            queries = int(text["index_n_heads"]) * index
            found += [_entries("index", layers, scaled, ratio, compared=queries), _tail(layers, index, ratio)]
    return found


def _entries(
    kind: str, layers: int, size_bytes: int, ratio: int, selected: int | None = None, compared: int = 0
) -> Kept:
    return Kept(
        kind,
        layers,
        fixed_bytes=size_bytes,
        tokens=ratio,
        selected=selected,
        compared=compared,
        block=BLOCK,
        aligned=ALIGNED,
    )


def _tail(layers: int, size: int, ratio: int) -> Kept:
    """What is not compressed yet: of each token a value and a score, of two overlapping entries where four make one.

    CompressorStateCache keeps it as a window of all tokens that an entry is made of, in blocks as large as the others
    so that they share memory. A step in every `ratio` reads all of it.
    """
    overlapping = 2 if ratio == SELECTING else 1
    return Kept(
        "tail",
        layers,
        fixed_bytes=2 * overlapping * size * STATE_BYTES,
        window=overlapping * ratio,
        selected=overlapping,
        block=TAIL_BLOCK[ratio],
        aligned=ALIGNED,
    )


def packed(kept: Sequence[Kept]) -> tuple[Kept, ...]:
    """The groups that vLLM makes of it: each block of any group takes as much as one of the widest.

    Layers whose blocks have as many tokens and whose windows are one go together; those of several page sizes in equal
    numbers stay whole, and groups of one page size are split down to about as many layers
    (vllm/v1/core/kv_cache_utils.py: _get_packed_kv_cache_groups, _get_kv_cache_bytes_per_block).
    """
    buckets: dict[tuple[int | None, int | None], Counter[int]] = {}
    for each in kept:
        pages = buckets.setdefault((each.block, each.window), Counter())
        pages[each.block_bytes(0, each.block or BLOCK)] += each.layers
    even = {key: next(iter(pages.values())) for key, pages in buckets.items() if len(set(pages.values())) == 1}
    repeats = _repeats(list(even.values()), max(even[key] for key in even if len(buckets[key]) > 1))
    groups = {key: ceil(even[key] / repeats) if key in even else 1 for key in buckets}
    widest = max(
        sum(ceil(layers / groups[key]) * page for page, layers in pages.items()) for key, pages in buckets.items()
    )
    return tuple(
        Kept("packed", groups[key], fixed_bytes=widest, window=key[1], tokens=key[0] or BLOCK, block=key[0])
        for key in buckets
    )


def _repeats(layers: Sequence[int], least: int) -> int:
    """Of `least` and more, the number that fills groups with the fewest empty layers; of equals the larger one."""
    return min(range(least, max(layers) + 1), key=lambda size: (sum(-each % size for each in layers), -size))
