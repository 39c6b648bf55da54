"""Before the first step: the longest batch goes forward and backward, and packed examples prove to be apart."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from freehold.core.errors import EnvironmentProblem, UserError
from freehold.finetune.recipe import Recipe
from freehold.finetune.training.collating import PackingCollator, PaddingCollator
from freehold.finetune.training.fitting import advice
from freehold.finetune.training.learnt_positions import summed_loss
from freehold.finetune.training.rows import Rows
from freehold.finetune.training.sft_trainer import output_head

APART = {"float32": 1e-3, "bfloat16": 3e-2}
"""Largest relative difference of the loss of examples packed and alone: rounding, well below any leak of attention."""


def try_longest_batch(trainer: Any, lengths: NDArray[np.int64], recipe: Recipe) -> None:
    """One forward and backward pass on the longest rows; gradients are dropped again.

    Raises EnvironmentProblem naming the setting to change when memory runs out, UserError when the loss is not finite.
    """
    size = trainer.args.per_device_train_batch_size
    longest = np.argsort(-lengths, kind="stable")[:size]
    with memory_explained(recipe, size, int(lengths.max())):
        inputs = trainer._prepare_inputs(trainer.data_collator([trainer.train_dataset[int(row)] for row in longest]))
        with trainer.compute_loss_context_manager(), trainer.accelerator.autocast():
            trainer.model.train()
            loss = trainer.compute_loss(trainer.model, inputs)
        loss.backward()
    trainer.model.zero_grad(set_to_none=True)
    if not torch.isfinite(loss):
        raise UserError(
            "The first pass gave no finite loss",
            why=f"the loss of the {size} longest examples is {loss.item()}",
            next_step="Check the base with `freehold store probe`, or set `training.precision: float32`.",
        )


@contextmanager
def memory_explained(recipe: Recipe, micro_batch_size: int, longest: int) -> Iterator[None]:
    """Turn running out of memory into what to change."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _out_of_memory(error, recipe, micro_batch_size, longest) from error
    except RuntimeError as error:
        # torch's allocator on a CPU raises nothing of its own kind.
        if "not enough memory" not in str(error) and "can't allocate memory" not in str(error):
            raise
        raise _out_of_memory(error, recipe, micro_batch_size, longest) from error


def _out_of_memory(error: BaseException, recipe: Recipe, size: int, longest: int) -> EnvironmentProblem:
    said = (str(error).splitlines() or ["the allocator refused"])[0]
    return EnvironmentProblem(
        f"Out of memory at {size} examples of up to {longest} tokens",
        why=said,
        next_step=advice(recipe, size, longest) + " Checkpoints are kept: go on with `--resume`.",
    )


def check_kept_apart(model: Any, rows: Rows, pad_token_id: int, *, autocast: bool) -> None:
    """Compare the loss of a few short examples packed with their loss alone, on this very model.

    Raises UserError where examples on one line see each other (recurrent layers, attention without such borders).
    """
    lengths = rows.columns["input_ids"].lengths
    learnt = np.array([rows[row]["trained"][1:].any() for row in range(len(rows))])
    shortest = [int(row) for row in np.argsort(lengths, kind="stable") if learnt[row]][:4]
    if len(shortest) < 2:
        return
    # A long blank line makes room, so that all of them share one line.
    total = int(lengths[shortest].sum())
    sample = [rows[row] for row in shortest]
    filler = {"input_ids": np.full(total, pad_token_id, np.int32), "trained": np.zeros(total, np.int32)}
    device = next(model.parameters()).device
    model.eval()
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=autocast):
        losses = []
        for collate, batch in (
            (PackingCollator(pad_token_id), [filler, *sample]),
            (PaddingCollator(pad_token_id), sample),
        ):
            inputs = {name: tensor.to(device) for name, tensor in collate(batch).items()}
            losses.append(summed_loss(model, output_head(model), inputs).item())
    model.train()
    packed, alone = losses
    difference = abs(packed - alone) / max(abs(alone), 1e-6)
    if not difference <= APART["bfloat16" if autocast else "float32"]:
        raise UserError(
            "`training.packing` cannot be used with this model",
            why=f"examples on one line see each other: their loss is {packed:.4f} packed and {alone:.4f} alone",
            next_step="Set `training.packing: false`; examples of like length are batched together all the same.",
        )
