"""TRL's ORPO trainer, with the loss on answers alone."""

from typing import Any, Literal

import torch
from torch import Tensor, nn
from trl.experimental.orpo import ORPOTrainer
from trl.trainer.utils import add_fused_lm_head

from freehold.finetune.preference.local import LocalTrainer


class LocalORPOTrainer(LocalTrainer, ORPOTrainer):  # type: ignore[misc]
    """Differs from TRL's in two things.

    Its likelihood term is over the tokens of the chosen answer, where TRL's is over those of the prompt too; and it is
    a mean over answers, so that neither micro batches nor workers change it.
    """

    def __init__(self, **rest: Any) -> None:
        super().__init__(**rest)
        self.use_dpo_data_collator = True  # ours gives what the evaluation below takes
        add_fused_lm_head(self.model.get_base_model())

    def get_batch_loss_metrics(
        self, model: nn.Module, batch: dict[str, Tensor], train_eval: Literal["train", "eval"] = "train"
    ) -> tuple[Tensor, dict[str, float]]:
        """The loss of a `PairCollator` batch, and what is logged of it."""
        logps, pairs = self._mean_logps(model, batch)
        chosen, rejected = logps.chunk(2)
        real = batch["completion_mask"].sum(1).chunk(2)[0] > 0
        odds, *_ = self.odds_ratio_loss(chosen[real], rejected[real])
        # Divided by all rows, blanks too: each answer then weighs the same in every step.
        loss = (-chosen[real] - odds).sum() / pairs + 0.0 * chosen.sum()
        rewards = self.beta * (chosen[real] - rejected[real]).detach()
        sums = torch.stack([real.sum(), (rewards > 0).sum(), rewards.sum(), -chosen[real].detach().sum()]).double()
        rows, accurate, margin, likelihood = self.accelerator.reduce(sums, reduction="sum").tolist()
        prefix = "eval_" if train_eval == "eval" else ""
        if not rows:
            return loss, {}
        return loss, {
            f"{prefix}rewards/accuracies": accurate / rows,
            f"{prefix}rewards/margins": margin / rows,
            f"{prefix}nll_loss": likelihood / rows,
        }

    def _mean_logps(self, model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, int]:
        """Mean log-probability per answer, shape (2B,), chosen ones first; and B."""
        labels = batch["input_ids"].masked_fill(batch["completion_mask"] == 0, -100)
        output = model(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            labels=labels,
            fused_lm_head=True,
            use_cache=False,
        )
        counts = batch["completion_mask"].sum(1).clamp(min=1)
        return output.log_probs.sum(1) / counts, len(labels) // 2
