"""What a model's parameters are for, by the names and shapes of its tensors."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from freehold.core.model.tensors import Tensor

KINDS = ("embedding", "head", "attention", "dense", "experts", "routers", "rest", "outside", "drafting")
"""`dense`: feed-forward layers that every token passes, shared experts among them. `rest`: norms, biases and what else
has one dimension, and small matrices that are neither narrowed nor shared out: of compressors, of an indexer's scores
and of hyper-connections. `outside`: of other parts than the decoder, towers for images and sound. `drafting`: layers
that predict further tokens, which an engine loads only for speculation."""

_OUTSIDE = re.compile(
    r"(^|\.)(visual|vision\w*|audio\w*|mm_\w+|multi_modal_projector|patch_merger|embed_(vision|audio)|sam_model|"
    r"projector|image_newline|view_seperator)(\.|$)"
)
_DRAFTING = re.compile(r"(^|\.)(mtp\w*|eagle\w*)(\.|$)")
_LAYER = re.compile(r"(^|\.)layers\.(\d+)\.")
_EMBEDDING = re.compile(
    r"(^|\.)(embed_tokens|word_embeddings|wte|tok_embeddings|embed_tokens_per_layer)(\.|$)|^embed\."
)
_HEAD = re.compile(r"(^|\.)(lm_head|output)\.weight|^head\.weight")
_ROUTER = re.compile(r"\.gate\.(weight|linear\.weight|wg\.weight|e_score_correction_bias)$|\.router\.")
_REST = re.compile(
    r"\.compressor\.(indexer\.)?(kv_proj|gate_proj|position_bias|wkv|wgate|fused_wkv_wgate|ape)(\.|$)|"
    r"\.weights_proj\.|\.(attn_hc|ffn_hc|hc_head)\.|(^|\.)hc_\w+$"
)
"""vLLM gives them no `quant_config` (vllm/models/deepseek_v4: DeepseekCompressor, DeepseekV4Indexer,
DeepseekV4DecoderLayer; deepseek_v2.py: Indexer)."""
_ATTENTION = re.compile(r"attn|attention|mixer|\.indexer\.")


@dataclass(frozen=True)
class Amount:
    """Numbers of parameters, and the bytes that they take as they are stored."""

    elements: int = 0
    size_bytes: int = 0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.elements + other.elements, self.size_bytes + other.size_bytes)


@dataclass(frozen=True)
class Parts:
    """A model's parameters by what they are for; each of KINDS has an amount."""

    amounts: Mapping[str, Amount]

    def __getitem__(self, kind: str) -> Amount:
        return self.amounts[kind]

    @property
    def served(self) -> Amount:
        """What an engine loads."""
        return sum((amount for kind, amount in self.amounts.items() if kind != "drafting"), Amount())

    @property
    def decoder(self) -> Amount:
        """What an engine loads of the text model."""
        return sum((a for kind, a in self.amounts.items() if kind not in ("drafting", "outside")), Amount())


def parts_of(tensors: Mapping[str, Tensor], layers: int) -> Parts:
    """Sort tensors by their names; `layers` is how many the decoder has, those after them only draft."""
    found = dict.fromkeys(KINDS, Amount())
    for name, tensor in tensors.items():
        found[kind_of(name, len(tensor.shape), layers)] += Amount(prod(tensor.shape), tensor.size_bytes)
    return Parts(found)


def kind_of(name: str, dimensions: int, layers: int) -> str:
    """One of KINDS."""
    if _OUTSIDE.search(name):
        return "outside"
    numbered = _LAYER.search(name)
    if _DRAFTING.search(name) or (numbered and int(numbered[2]) >= layers):
        return "drafting"
    if _EMBEDDING.search(name):
        return "embedding"
    if _HEAD.search(name):
        return "head"
    if ".experts." in name:
        return "experts"
    if _ROUTER.search(name):
        return "routers"
    if dimensions < 2 or _REST.search(name):
        return "rest"
    return "attention" if _ATTENTION.search(name) else "dense"
