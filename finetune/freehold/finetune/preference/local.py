"""TRL's trainers as they run here: on rows that are tokenised, in our order, telling nobody."""

from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray
from transformers import Trainer

from freehold.finetune.training.blanks import WithBlanks
from freehold.finetune.training.order import Order


class _StandIn(Dataset):  # type: ignore[misc]
    """What TRL looks at while a trainer is built; it takes no other kind of dataset, and wants to tokenise it."""

    def __init__(self) -> None:
        super().__init__(Dataset.from_dict({"prompt": [""]}).data)

    def map(self, *_: Any, **__: Any) -> "_StandIn":
        return self


class LocalTrainer(Trainer):  # type: ignore[misc]
    """Goes before a trainer of TRL in the bases of a class."""

    def __init__(
        self,
        *,
        lengths: NDArray[np.int64],
        batch_size: int,
        train_dataset: WithBlanks,
        eval_dataset: WithBlanks | None,
        **rest: Any,
    ) -> None:
        self._lengths = lengths
        self._rows_per_step = batch_size
        eval_stand_in = None if eval_dataset is None else _StandIn()
        super().__init__(train_dataset=_StandIn(), eval_dataset=eval_stand_in, **rest)
        self.train_dataset = train_dataset
        self.eval_dataset = eval_dataset

    def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
        return dataset

    def _get_train_sampler(self, train_dataset: Any = None) -> Order:
        return Order(self._lengths, self._rows_per_step, seed=self.args.seed)

    def _send_telemetry(self) -> None:
        """TRL would tell Hugging Face which trainer, model family and machine this is. Nothing leaves by surprise."""

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        # TRL's own adds a model card for the hub to every checkpoint.
        Trainer._save_checkpoint(self, model, trial)


def base_as_reference(model: Any) -> None:
    """Let the base be the reference, where TRL copied the untrained adapter for one.

    A fresh adapter of the plain kind changes nothing, so the copy is memory for nothing and would be saved with it.
    """
    if "ref" in model.peft_config:
        model.delete_adapter("ref")
    for name, parameter in model.named_parameters():
        # TRL halves the precision of adapters on quantized bases, and small updates would then be lost.
        if parameter.requires_grad and "lora_" in name:
            parameter.data = parameter.data.float()
