"""Which tokens the loss counts, from the model's own chat template by prefix difference."""

from freehold.finetune.masking.lengths import Fitted, OverLongError, Split, mask_within, split_to_fit
from freehold.finetune.masking.loading import context_tokens, load_masker, stop_token_ids
from freehold.finetune.masking.masker import MaskedExample, Masker
from freehold.finetune.masking.template import TemplateError

__all__ = [
    "Fitted",
    "MaskedExample",
    "Masker",
    "OverLongError",
    "Split",
    "TemplateError",
    "context_tokens",
    "load_masker",
    "mask_within",
    "split_to_fit",
    "stop_token_ids",
]
