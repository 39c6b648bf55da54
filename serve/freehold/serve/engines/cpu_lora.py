"""LoRA arithmetic on a CPU: a plugin that vLLM loads in each of its processes, and that replaces its own.

vLLM 0.32 (`vllm/lora/ops/torch_ops/lora_ops.py`) copies an adapter's matrices for every single token before it
multiplies, which makes a prompt of 50 tokens take seconds; gives a request for the base in a mixed batch the adapter of
the last slot, since it takes the index -1, "none", for the last; and ends the engine when log-probabilities of a prompt
share a batch. Here the rows of each adapter are multiplied together, -1 is none, and what has no index stays as it is.
`tests/serve/engines/test_cpu_lora.py` holds it against vLLM's. Imports vLLM and torch only inside an engine.
"""

import logging
import os
from collections.abc import Callable, Iterator
from typing import Any

VARIABLE = "FREEHOLD_CPU_LORA"
"""Set to `1` for an engine without GPU that takes adapters."""

log = logging.getLogger("freehold.engine")

Tensor = Any
"""torch.Tensor, which is not imported here."""
Rows = Any
"""A slice, or a tensor of row numbers."""


def install() -> None:
    """Replace vLLM's functions in this process, where the engine was started for it; else do nothing."""
    if os.environ.get(VARIABLE) != "1":
        return
    from vllm.lora.punica_wrapper import punica_cpu

    for name, function in FUNCTIONS.items():
        setattr(punica_cpu, name, function)


def bgmv_shrink(inputs: Tensor, weights: Tensor, output: Tensor, indices: Tensor, scaling: float = 1.0) -> None:
    """`output[row] = scaling * A[indices[row]] @ inputs[row]`; inputs (rows, in), weights (slots, 1, rank, in)."""
    weights = _matrices(weights)
    rank = weights.shape[1]
    output[:, :rank] = 0
    for index, rows in _groups(indices, inputs.shape[0]):
        output[rows, :rank] = scaling * (inputs[rows].to(output.dtype) @ weights[index].T.to(output.dtype))


def bgmv_expand(inputs: Tensor, weights: Tensor, output: Tensor, indices: Tensor, add_inputs: bool = True) -> None:
    """`output[row] += B[indices[row]] @ inputs[row]`; inputs (rows, rank), weights (slots, 1, out, rank)."""
    width = min(weights.shape[-2], output.shape[1])
    bgmv_expand_slice(inputs, weights, output, indices, 0, width, add_inputs)


def bgmv_expand_slice(
    inputs: Tensor,
    weights: Tensor,
    output: Tensor,
    indices: Tensor,
    slice_offset: int,
    slice_size: int,
    add_inputs: bool = True,
) -> None:
    """The same for `slice_size` columns of the output, from `slice_offset` on."""
    weights = _matrices(weights)
    columns = slice(slice_offset, slice_offset + slice_size)
    if not add_inputs:
        output[:, columns] = 0
    for index, rows in _groups(indices, inputs.shape[0]):
        matrix = weights[index, :slice_size].T.to(output.dtype)
        output[rows, columns] += inputs[rows].to(output.dtype) @ matrix


def _by_sequence(function: Callable[..., None]) -> Callable[..., None]:
    """The same where each sequence of the batch has an index, and a number of tokens."""

    def with_sequences(
        inputs: Tensor,
        weights: Tensor,
        output: Tensor,
        starts: Tensor,
        lengths: Tensor,
        indices: Tensor,
        batches: int,
        longest: int,
        tokens: int,
        *more: Any,
    ) -> None:
        function(inputs, weights, output, indices.repeat_interleave(lengths), *more)

    return with_sequences


def _matrices(weights: Tensor) -> Tensor:
    return weights.squeeze(1) if weights.dim() == 4 else weights


def _groups(indices: Tensor, count: int) -> Iterator[tuple[int, Rows]]:
    """Each adapter of the batch with its rows; rows without an adapter are in none."""
    present = indices.unique().tolist()
    if len(present) == 1:
        if present[0] >= 0:
            yield present[0], slice(None)
        return
    if indices.shape[0] != count:
        # Prompt log-probabilities beside other requests: vLLM does not say whose the rows are. They pass the output
        # head alone here, which no adapter that Freehold trains touches.
        log.warning("%d rows of a batch have %d adapters' indices: none is applied", count, indices.shape[0])
        return
    for index in present:
        if index >= 0:
            yield index, (indices == index).nonzero().squeeze(1)


FUNCTIONS: dict[str, Callable[..., None]] = {
    "bgmv_shrink": bgmv_shrink,
    "bgmv_expand": bgmv_expand,
    "bgmv_expand_slice": bgmv_expand_slice,
    "sgmv_shrink": _by_sequence(bgmv_shrink),
    "sgmv_expand": _by_sequence(bgmv_expand),
    "sgmv_expand_slice": _by_sequence(bgmv_expand_slice),
}
"""By the names under which vLLM's wrapper calls them."""
