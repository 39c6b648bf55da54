"""What an engine takes of a GPU beside weights and cache: its own context, activations, graphs, room for adapters."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from freehold.core.plan.gpus import GIB, MIB, Gpu
from freehold.core.plan.subject import Subject

CONTEXT_BYTES = 600 * MIB
"""CUDA's context, cuBLAS' workspace and the allocator's slack, which no model is blamed for."""
COMMUNICATION_BYTES = 400 * MIB
"""NCCL's buffers, and those of vLLM's own all-reduce, once several GPUs share layers."""
GRAPH_BYTES_PER_LAYER = 20 * MIB
"""Captured graphs of a layer for every batch size."""
ACTIVATION_BYTES = 2
SAMPLER_BYTES = 12
"""For each logit of each sequence: the logit in 32 bits, its probability, and a sorted copy."""

GATHERED_SEQUENCES = 4
SCALE_BYTES = 4
INDEX_ROWS = 576 * 2 // 132
"""As many tokens of an index as take the room of a latent vector in 16 bits."""
INDEX_FACTOR, INDEX_FACTOR_UP_TO = (5, 2), 256 * 1024
"""`sparse_mla_prefill_workspace_factor`, up to that many tokens and beyond (vllm/config/vllm.py)."""


@dataclass(frozen=True)
class Batch:
    """How much an engine takes on at a time, by vLLM's own defaults for the GPU (arg_utils.py: get_batch_defaults)."""

    tokens: int
    sequences: int


def default_batch(gpu: Gpu) -> Batch:
    """vLLM's `--max-num-batched-tokens` and `--max-num-seqs`."""
    if gpu.memory_bytes >= 160 * GIB:
        return Batch(16384, 1024)
    if gpu.memory_bytes >= 70 * GIB and "a100" not in gpu.title.lower():
        return Batch(8192, 1024)
    return Batch(2048, 256)


@dataclass(frozen=True)
class Adapters:
    """Room that is set aside for adapters: so many at once, of that rank at most."""

    count: int = 0
    rank: int = 16

    def size_bytes(self, subject: Subject, tensor_parallel: int) -> int:
        """vLLM keeps both matrices of every linear layer for each place (and one more), sharing out the wider one."""
        if not self.count:
            return 0
        widths = _linear_widths(subject.text)
        one = self.rank * sum(taken + given / tensor_parallel for taken, given in widths) * subject.layers
        return round(self.count * one * ACTIVATION_BYTES)


def activation_bytes(subject: Subject, batch: Batch, tensor_parallel: int) -> int:
    """At the peak of one step: the wider of a layer's two halves, and the sampler over all sequences."""
    text = subject.text
    hidden = int(text["hidden_size"])
    there, taken = subject.experts
    inner = int(text.get("moe_intermediate_size") or text.get("intermediate_size") or 4 * hidden) if there > 1 else 0
    routed = taken * (3 * inner / tensor_parallel + hidden)
    dense = 3 * int(text.get("intermediate_size") or 4 * hidden) / tensor_parallel
    streams = int(text.get("hc_mult") or 1)
    layer = batch.tokens * ACTIVATION_BYTES * (4 * hidden * streams + max(routed, dense if there == 1 else 0))
    sampler = batch.sequences * int(text["vocab_size"]) * SAMPLER_BYTES
    return round(max(layer, sampler))


def workspace_bytes(subject: Subject, batch: Batch, context: int) -> int:
    """What vLLM holds ready for prompts of compressed attention, of sequences up to `context` tokens; else nothing.

    Four of them are widened at a time to 16 bits (vLLM 0.32.0, vllm/models/deepseek_v4: PREFILL_CHUNK_SIZE,
    nvidia/flashmla.py: forward_mqa), or their index is gathered (get_max_prefill_buffer_size in
    vllm/v1/attention/backends/mla/indexer.py, _gather_workspace_shapes); both take turns in one buffer.
    """
    entries = next((each for each in subject.kept if each.kind == "compressed" and each.selected), None)
    if entries is None:
        return 0
    text = subject.text
    seen = ceil(context / entries.tokens) + int(text["sliding_window"]) + batch.tokens
    widened = GATHERED_SEQUENCES * seen * int(text["head_dim"]) * ACTIVATION_BYTES
    index = gathered_tokens(context) // entries.tokens * (int(text["index_head_dim"]) + SCALE_BYTES)
    return max(widened, index)


def gathered_tokens(context: int) -> int:
    """Of prompts whose index is gathered at a time."""
    return context * INDEX_ROWS * (INDEX_FACTOR[0] if context <= INDEX_FACTOR_UP_TO else INDEX_FACTOR[1])


def overhead_bytes(subject: Subject, tensor_parallel: int, pipeline_parallel: int) -> int:
    """Context, communication and graphs on each GPU."""
    joined = COMMUNICATION_BYTES if tensor_parallel * pipeline_parallel > 1 else 0
    return CONTEXT_BYTES + joined + GRAPH_BYTES_PER_LAYER * ceil(subject.layers / pipeline_parallel)


def _linear_widths(text: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Inputs and outputs of the linear layers of one decoder layer that adapters change: attention and dense MLP."""
    hidden = int(text["hidden_size"])
    heads = int(text["num_attention_heads"])
    size = int(text.get("head_dim") or hidden // heads)
    kv = int(text.get("num_key_value_heads") or heads) * size
    found = [(hidden, heads * size), (hidden, kv), (hidden, kv), (heads * size, hidden)]
    if inner := text.get("intermediate_size"):
        found += [(hidden, int(inner)), (hidden, int(inner)), (int(inner), hidden)]
    return found
