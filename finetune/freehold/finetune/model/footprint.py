"""The memory of a run, from the model's shapes alone: nothing is loaded to know it."""

from dataclasses import dataclass
from typing import Any

import torch
from peft import get_peft_model

from freehold.core.quiet import quiet_libraries
from freehold.finetune.model.precision import Precision

TRACE_TOKENS = 64
"""Length of the traced example. Activations grow with tokens alone, but on `meta` attention is the naive one, whose
share grows with the square: at 64 tokens that makes the trace a tenth too large, at thousands it would be useless."""

BYTES = {"float32": 4, "bfloat16": 2}
QUANTIZED_BYTES = {"none": 0.0, "nf4": 0.56, "int8": 1.02}
"""Per parameter of a quantized linear layer, with its scales."""

TRAINED_BYTES = 16
"""Per parameter of the adapter: weight, gradient and two moments of Adam, all float32."""

LOGIT_BYTES = 16
"""Per learnt token and word of the vocabulary: logits, their float32 copy, log-softmax, gradient."""

WORKING = 1.3
"""Peak over what is kept for backward: its temporaries, and what the allocator cannot use again. On a CPU, a run of 480
tokens at a time through 135M parameters took 2.40 GiB in all, which is 1.3."""

LIBRARIES_BYTES = {"cpu": 900 << 20, "cuda": 700 << 20}
"""What Python, torch and transformers (on a GPU: CUDA's context) take before any weight; measured."""


@dataclass(frozen=True)
class Footprint:
    """Bytes of one process."""

    base: int
    trained: int
    """Adapter, its gradients, and the optimizer's state."""
    per_token: int
    """Activations kept for one token of the micro batch, without checkpointing."""
    per_token_checkpointed: int
    """The same with gradient checkpointing."""
    per_learnt_token: int
    """The output head's work for one token that is learnt."""
    libraries: int
    trained_parameters: int
    parameters: int

    def total(self, tokens: int, learnt: int, *, checkpointing: bool) -> int:
        """Peak for a micro batch of so many tokens, padding included."""
        per_token = self.per_token_checkpointed if checkpointing else self.per_token
        kept = tokens * per_token + learnt * self.per_learnt_token
        return self.libraries + self.base + self.trained + int(WORKING * kept)


def footprint(
    skeleton: Any, lora: Any, precision: Precision, *, quantization: str = "none", split: int = 1
) -> Footprint:
    """What a run with this peft configuration takes. `skeleton` is the model on the `meta` device; it is used up.

    `split` is the number of workers that the base is split over.
    """
    config = skeleton.config
    linear = sum(module.weight.numel() for module in skeleton.modules() if isinstance(module, torch.nn.Linear))
    with quiet_libraries():
        model = get_peft_model(skeleton.to(getattr(torch, precision.base)), lora, low_cpu_mem_usage=True).to("meta")
    trained, total = model.get_nb_trainable_parameters()
    head = model.get_base_model().get_output_embeddings()
    words = head.weight.shape[0] if head is not None else 0
    width = BYTES[precision.base]
    quantized = (linear - words * _hidden(config)) if quantization != "none" else 0
    # Beside quantized layers the rest is float32, which keeps training steady.
    rest = width if quantization == "none" else BYTES["float32"]
    base = (total - trained - quantized) * rest + quantized * QUANTIZED_BYTES[quantization]
    kept, checkpointed = _activations(model, config, width)
    return Footprint(
        base=int(base) // split,
        trained=trained * TRAINED_BYTES,
        per_token=kept,
        per_token_checkpointed=checkpointed,
        per_learnt_token=words * LOGIT_BYTES,
        libraries=LIBRARIES_BYTES[precision.device],
        trained_parameters=trained,
        parameters=total - trained,
    )


def _activations(model: Any, config: Any, width: int) -> tuple[int, int]:
    """Bytes kept for backward per token: without and with checkpointing."""
    text = config.get_text_config()
    # What is recomputed at a time is one layer; its input is kept of each.
    layers = text.num_hidden_layers
    try:
        kept = _traced(model)
    except (NotImplementedError, RuntimeError):
        # Routing of experts looks at values, which `meta` has not: count the widths of a decoder layer instead.
        inner = getattr(text, "intermediate_size", None) or 4 * text.hidden_size
        kept = layers * (14 * text.hidden_size + 5 * inner) * width
    return kept, layers * text.hidden_size * width + 2 * kept // layers


def _traced(model: Any) -> int:
    saved: dict[int, Any] = {}
    own = {parameter.untyped_storage()._cdata for parameter in model.parameters()}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            saved[storage._cdata] = storage  # held, so that no other gets its address
        return tensor

    model.train()
    tokens = torch.zeros((1, TRACE_TOKENS), dtype=torch.long, device="meta")
    # A mask in four dimensions is taken as it is; a flat one would be looked into.
    mask = torch.ones((1, 1, TRACE_TOKENS, TRACE_TOKENS), dtype=torch.bool, device="meta")
    with quiet_libraries(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = model(input_ids=tokens, attention_mask=mask, use_cache=False, logits_to_keep=1)
    count = sum(int(storage.nbytes()) for storage in saved.values())
    del output
    return count // TRACE_TOKENS


def _hidden(config: Any) -> int:
    size: int = config.get_text_config().hidden_size
    return size
