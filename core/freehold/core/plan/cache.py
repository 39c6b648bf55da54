"""What an engine keeps of the tokens it has seen: bytes for each sequence, by kind of attention.

The fields are those of `config.json`; how an engine lays them out is vLLM's (vllm/v1/kv_cache_interface.py).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from math import ceil
from typing import Any

from freehold.core.errors import UserError
from freehold.core.plan.compressed import RATIOS, SELECTING, compressed, packed
from freehold.core.plan.kept import Kept

ATTENTION = ("full_attention", "sliding_attention", "chunked_attention", "deepseek_sparse_attention")
ASSUMED: Mapping[str, Mapping[str, Any]] = {
    "gemma3_text": {"vocab_size": 262208, "max_position_embeddings": 131072, "sliding_window_pattern": 6}
}
"""What a model type's config leaves out, since its class assumes it."""
CHUNKED_EVERY = 4
"""Llama 4: every fourth layer sees everything."""
FP32_BYTES = 4
BF16_BYTES = 2
INDEXER_GROUP = 128
"""The indexer of sparse attention keeps 8 bits a value, and a scale in 32 bits for so many."""


def text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of the decoder, where a model also sees or hears."""
    for name in ("text_config", "language_config", "llm_config", "thinker_config"):
        if isinstance(inner := config.get(name), Mapping):
            return text_config(inner)
    return {**ASSUMED.get(str(config.get("model_type")), {}), **config}


def cache_of(config: Mapping[str, Any]) -> tuple[Kept, ...]:
    """What each kind of layer keeps. Raises UserError for a kind of attention that is not known here."""
    text = text_config(config)
    if ratios := text.get("compress_ratios"):
        known = set(ratios) <= set(RATIOS) and SELECTING in ratios
        if not known or "kv_source_layer_ids" in text:
            raise _unknown(f"compression by {', '.join(str(each) for each in sorted(set(ratios)))}")
        return tuple(compressed(text))
    if sparse := text.get("sparse_attention_config"):
        return tuple(_block_sparse(text, sparse))
    kinds = Counter(_layer_kinds(text))
    found: list[Kept] = []
    for kind, layers in kinds.items():
        if kind in ATTENTION:
            found += _attention(text, kind, layers)
        elif kind == "linear_attention":
            found.append(_state(text, layers))
        else:
            raise _unknown(kind)
    return tuple(found)


def _unknown(kind: str) -> UserError:
    return UserError(
        f"The planner does not know layers of the kind {kind!r}",
        why="it cannot tell what they keep of a sequence",
        next_step="Start the engine and read what it reports: freehold serve MODEL",
    )


def padded(kept: tuple[Kept, ...]) -> tuple[Kept, ...]:
    """With what vLLM adds when kinds are mixed: it keeps groups of as many layers as the rarest kind has.

    (vllm/v1/core/kv_cache_utils.py: _get_kv_cache_groups_uniform_page_size.)
    """
    if any(each.kind == "compressed" for each in kept):
        return packed(kept)
    attention = [each for each in kept if each.kind in ("full", "sliding", "latent")]
    if len(attention) < 2:
        return kept
    fewest, most = min(each.layers for each in attention), max(each.layers for each in attention)
    group = most if most < fewest * 1.5 else fewest
    return tuple(
        each if each not in attention else replace(each, layers=ceil(each.layers / group) * group) for each in kept
    )


def _layer_kinds(text: Mapping[str, Any]) -> list[str]:
    layers = int(text["num_hidden_layers"])
    shared = int(text.get("num_kv_shared_layers") or 0)  # the last of Gemma's small ones keep nothing of their own
    if types := text.get("layer_types"):
        return list(types)[: layers - shared]
    if linear := text.get("linear_attn_config"):
        full = set(linear["full_attn_layers"])  # counted from one
        return ["full_attention" if n + 1 in full else "linear_attention" for n in range(layers)]
    if every := text.get("full_attention_interval"):
        return ["linear_attention" if (n + 1) % every else "full_attention" for n in range(layers)]
    if listed := text.get("attn_type_list"):
        return ["full_attention" if kind else "linear_attention" for kind in listed]
    if text.get("attention_chunk_size"):
        return ["chunked_attention" if (n + 1) % CHUNKED_EVERY else "full_attention" for n in range(layers)]
    if every := text.get("sliding_window_pattern"):
        return ["sliding_attention" if (n + 1) % every else "full_attention" for n in range(layers)]
    return ["sliding_attention" if _slides(text) else "full_attention"] * layers


def _slides(text: Mapping[str, Any]) -> bool:
    window = text.get("sliding_window")
    return bool(window) and text.get("use_sliding_window") is not False


def _attention(text: Mapping[str, Any], kind: str, layers: int) -> list[Kept]:
    if text.get("kv_lora_rank"):
        return _latent(text, layers)
    heads, size = heads_of(text, full=kind == "full_attention")
    window = {"sliding_attention": "sliding_window", "chunked_attention": "attention_chunk_size"}.get(kind)
    kept = int(text[window]) if window and text.get(window) else None
    return [Kept("sliding" if kept else "full", layers, 2 * heads * size, heads=heads, window=kept)]


def heads_of(text: Mapping[str, Any], *, full: bool = True) -> tuple[int, int]:
    """Heads of keys and values, and the numbers in each; Gemma 4 has others in layers that attend to everything."""
    heads = int(text.get("num_key_value_heads") or text["num_attention_heads"])
    size = int(text.get("head_dim") or text["hidden_size"] // text["num_attention_heads"])
    if full:
        heads = int(text.get("num_global_key_value_heads") or heads)
        size = int(text.get("global_head_dim") or size)
    return heads, size


def _latent(text: Mapping[str, Any], layers: int) -> list[Kept]:
    """Multi-head latent attention keeps one vector for all heads, on every GPU."""
    numbers, chosen = int(text["kv_lora_rank"]) + int(text["qk_rope_head_dim"]), text.get("index_topk")
    found = [Kept("latent", layers, numbers, selected=int(chosen) if chosen else None)]
    if size := text.get("index_head_dim"):
        scaled = int(size) + FP32_BYTES * ceil(size / INDEXER_GROUP)
        queries = int(text["index_n_heads"]) * int(size)
        # Of GLM-5.3-Flash, one entry for a pool of tokens (vllm/models/glm5next: Glm5NextIndexerCache).
        pool = int(text.get("index_kpool") or 1)
        found.append(Kept("index", _leading(text, layers), fixed_bytes=scaled, tokens=pool, compared=queries))
    return found


def _leading(text: Mapping[str, Any], layers: int) -> int:
    """Layers that keep an index: others take over what an earlier one has chosen, or attend to nothing before them."""
    if not (types := text.get("indexer_types")):
        return layers
    kinds = text.get("layer_types") or ["deepseek_sparse_attention"] * len(types)
    return sum(1 for kind, each in zip(kinds, types, strict=True) if kind in ATTENTION and each == "full")


def _block_sparse(text: Mapping[str, Any], sparse: Mapping[str, Any]) -> list[Kept]:
    """MiniMax M3: in most layers each head of keys selects blocks of tokens by an index of one key a token.

    Keys and values are kept as in the layers that see everything, the index in 16 bits on every GPU, whatever the
    cache's type (vLLM 0.32.0, vllm/models/minimax_m3: MiniMaxM3SparseAttention.get_kv_cache_spec,
    MiniMaxM3IndexerCache.get_kv_cache_spec). All are of one group, and nothing is padded. Blocks that are always seen
    are among those that are selected (common/ops/index_topk.py).
    """
    layers, block = int(text["num_hidden_layers"]), int(sparse["sparse_block_size"])
    selecting = sum(1 for each in sparse["sparse_attention_freq"][:layers] if each)
    heads, size = heads_of(text)
    index = int(sparse["sparse_index_dim"])
    keys = Kept("full", layers - selecting, 2 * heads * size, heads=heads, block=block)
    chosen = int(sparse["sparse_topk_blocks"]) * block
    queries = int(sparse["sparse_num_index_heads"]) * index
    return [
        keys,
        replace(keys, kind="sparse", layers=selecting, selected=chosen),
        Kept("index", selecting, fixed_bytes=index * BF16_BYTES, compared=queries, block=block),
    ]


def _state(text: Mapping[str, Any], layers: int) -> Kept:
    """Gated delta rule: a matrix for each head in 32 bits, and the last inputs of a short convolution in 16."""
    if linear := text.get("linear_attn_config"):
        heads, size, kernel = linear["num_heads"], linear["head_dim"], linear["short_conv_kernel_size"]
        keys, values, square = heads * size, heads * size, heads * size * size
    elif "linear_num_value_heads" in text:
        heads, kernel = text["linear_num_value_heads"], text["linear_conv_kernel_dim"]
        keys = text["linear_num_key_heads"] * text["linear_key_head_dim"]
        values = heads * text["linear_value_head_dim"]
        square = heads * text["linear_value_head_dim"] * text["linear_key_head_dim"]
    else:
        heads, size = int(text["num_attention_heads"]), int(text["head_dim"])
        keys, values, square, kernel = 0, 0, heads * size * size, 1
    convolution = (2 * keys + values) * (kernel - 1) * 2
    return Kept("state", layers, fixed_bytes=square * FP32_BYTES + convolution, heads=heads)
