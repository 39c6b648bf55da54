"""What the trainers of all preference objectives are built from alike."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freehold.finetune.preference.collating import blank_row
from freehold.finetune.training.blanks import WithBlanks
from freehold.finetune.training.objective import TrainerSetup


def trainer_keywords(setup: TrainerSetup, collator: Callable[[int], Any], lengths: NDArray[np.int64]) -> dict[str, Any]:
    """Keywords of a `LocalTrainer`, without its `args`."""
    pad = setup.tokenizer.pad_token_id
    pad = setup.tokenizer.eos_token_id if pad is None else pad
    blank = blank_row(setup.train[0], pad)
    return {
        "model": setup.model,
        "processing_class": setup.tokenizer,
        "lengths": lengths,
        "batch_size": setup.recipe.training.batch_size,
        "train_dataset": WithBlanks(setup.train, blank),
        "eval_dataset": WithBlanks(setup.eval, blank) if setup.eval is not None and len(setup.eval) else None,
        "data_collator": collator(pad),
        "callbacks": list(setup.callbacks),
    }
