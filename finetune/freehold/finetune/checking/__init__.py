"""What a model's tokenizer says of data before anything heavy starts."""

from freehold.finetune.checking.estimate import Estimate, estimate
from freehold.finetune.checking.speed import measured_speed, remember_speed
from freehold.finetune.checking.tokens import TokenCheck, learnt_texts, mask_any, stretches

__all__ = [
    "Estimate",
    "TokenCheck",
    "estimate",
    "learnt_texts",
    "mask_any",
    "measured_speed",
    "remember_speed",
    "stretches",
]
