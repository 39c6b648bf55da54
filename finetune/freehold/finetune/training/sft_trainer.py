"""transformers' Trainer with our order of rows, loss over learnt tokens alone, and token-weighted evaluation."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import Trainer

from freehold.finetune.training.learnt_positions import summed_loss, token_count
from freehold.finetune.training.order import Order


class SupervisedTrainer(Trainer):  # type: ignore[misc]  # transformers is Any to mypy
    """Learns the labels that the collator gives; see `Order` for what makes its steps independent of workers."""

    # compute_loss divides by the learnt tokens of the whole optimizer step, over all micro batches and workers.
    loss_is_scaled_for_ga = True

    def __init__(self, *, lengths: NDArray[np.int64], batch_size: int, **rest: Any) -> None:
        self._lengths = lengths
        self._rows_per_step = batch_size
        super().__init__(**rest)
        self.model_accepts_loss_kwargs = True
        self._head = output_head(self.model)

    def _get_train_sampler(self, train_dataset: Any = None) -> Order:
        return Order(self._lengths, self._rows_per_step, seed=self.args.seed)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        loss = summed_loss(model, self._head, inputs)
        tokens = token_count(inputs["labels"]) if num_items_in_batch is None else num_items_in_batch
        if num_items_in_batch is not None and self.args.world_size > 1:
            # DDP averages gradients over workers, the token count is already that of all of them.
            loss = loss * self.args.world_size
        return loss / tokens

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Mean cross-entropy over all learnt tokens of the evaluation rows (Trainer's own is a mean of batches)."""
        started = time.monotonic()
        rows = self.eval_dataset if eval_dataset is None else eval_dataset
        model = self.model_wrapped
        model.eval()
        totals = torch.zeros(2, dtype=torch.float64, device=self.args.device)
        with torch.no_grad(), self.accelerator.autocast():
            for batch in self._evaluation_batches(rows):
                inputs = self._prepare_inputs(self.data_collator([rows[row] for row in batch]))
                totals[0] += summed_loss(model, self._head, inputs)
                totals[1] += token_count(inputs["labels"])
        totals = self.accelerator.reduce(totals, reduction="sum")
        model.train()
        metrics = {
            f"{metric_key_prefix}_loss": (totals[0] / totals[1]).item(),
            f"{metric_key_prefix}_runtime": time.monotonic() - started,
        }
        self.log(metrics)
        self.control: Any = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _evaluation_batches(self, rows: Any) -> Iterator[list[int]]:
        """This worker's share of the rows, each row once over all workers, those of like length together."""
        by_length = np.argsort(-rows.columns["input_ids"].lengths, kind="stable").tolist()
        size, world = self.args.per_device_eval_batch_size, self.args.world_size
        mine = by_length[self.args.process_index :: world]
        yield from (mine[start : start + size] for start in range(0, len(mine), size))


def output_head(model: Any) -> nn.Module:
    """The layer that turns hidden states into logits, below peft's wrapping."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    head: nn.Module = base.get_output_embeddings()
    return head
