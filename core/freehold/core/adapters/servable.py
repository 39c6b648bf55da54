"""Which adapters an engine serves as they are, told from `adapter_config.json` alone.

The rules are vLLM's (0.32, `vllm/lora/peft_helper.py` and `vllm/config/lora.py`), so that a run is refused before it is
trained and not when its adapter is loaded; a test holds them against the installed vLLM. Where vLLM reads a setting
past, and would serve something else than was trained, ours are stricter.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from freehold.core.errors import RefusedError

ENGINE_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""The values that `--max-lora-rank` takes; an adapter may have any rank up to the engine's."""

PLAIN_STARTS = ("gaussian", "eva", "orthogonal", "mica", "lora_ga")
"""Values of `init_lora_weights` that leave the base as it is, so that the saved adapter is a plain one."""

_UNSERVED = {
    "use_dora": "DoRA rescales the base's weights by a learnt magnitude",
    "lora_bias": "the update carries a bias",
    "alora_invocation_tokens": "an activated LoRA acts on a part of the prompt only",
    "layer_replication": "it repeats layers of the base",
    "use_bdlora": "its factors are block-diagonal",
    "use_qalora": "QALoRA pools the inputs of the update",
}
_UNREAD = {
    "trainable_token_indices": "tokens of the embedding were trained",
    "kasa_config": "KaSA changes the base and adds singular values to the update",
    "arrow_config": "Arrow routes between several adapters",
    "monteclora_config": "MonteCLoRA samples around the update",
}
"""Settings that vLLM drops from the config; it then fails on the tensors or ignores what was trained."""


def refusals(config: Mapping[str, Any], *, max_rank: int = ENGINE_RANKS[-1]) -> list[str]:
    """Why an engine would not serve an adapter with this `adapter_config.json`, a sentence each; empty if it would.

    `max_rank` is the largest rank that the engine was started for (`--max-lora-rank`).
    """
    found = []
    kind = config.get("peft_type", "LORA")
    if kind != "LORA":
        found.append(f"`peft_type` is {kind}: engines serve LoRA only")
    if wrong := _wrong_modules_to_save(config):
        found.append(f"`modules_to_save` names {', '.join(wrong)}: modules trained whole are no part of an adapter")
    if config.get("bias", "none") != "none":
        found.append(f"`bias` is {config['bias']}: biases of the base were trained")
    start = config.get("init_lora_weights", True)
    if isinstance(start, str) and start.lower() not in PLAIN_STARTS:
        found.append(f"`init_lora_weights` is {start}: it changes the base that the adapter belongs to")
    for name, reason in (_UNSERVED | _UNREAD).items():
        if config.get(name):
            found.append(f"`{name}` is set: {reason}")
    return found + _wrong_ranks(config, max_rank)


def check_servable(config: Mapping[str, Any], *, max_rank: int = ENGINE_RANKS[-1], name: str = "the adapter") -> None:
    """Raise RefusedError with every reason for which an engine would not serve an adapter of this config."""
    if found := refusals(config, max_rank=max_rank):
        raise RefusedError(
            f"no engine serves {name} as it is",
            why="; ".join(found),
            next_step="Train without it, or merge the adapter into its base: `output: {merge: true}` in the recipe.",
        )


def engine_rank(ranks: Iterable[int]) -> int:
    """The smallest `--max-lora-rank` that fits adapters of all these ranks.

    Raises RefusedError when one of them is above the largest that an engine takes.
    """
    highest = max(ranks, default=1)
    for rank in ENGINE_RANKS:
        if highest <= rank:
            return rank
    raise RefusedError(
        f"no engine serves an adapter of rank {highest}",
        why=f"`--max-lora-rank` ends at {ENGINE_RANKS[-1]}",
        next_step="Train with a lower `lora.rank`, or merge the adapter into its base.",
    )


def adapter_ranks(config: Mapping[str, Any]) -> list[int]:
    """Every rank in an `adapter_config.json`: the common one, then those of single modules."""
    return [config.get("r", 0), *(config.get("rank_pattern") or {}).values()]


def _wrong_modules_to_save(config: Mapping[str, Any]) -> list[str]:
    # The head of a classifier is the one module that an engine takes whole.
    return [name for name in config.get("modules_to_save") or () if name not in ("classifier", "score")]


def _wrong_ranks(config: Mapping[str, Any], max_rank: int) -> list[str]:
    ranks = adapter_ranks(config)
    if not all(isinstance(rank, int) and rank > 0 for rank in ranks):
        return [f"`r` and `rank_pattern` must be positive whole numbers, and are {ranks}"]
    if max(ranks) > max_rank:
        return [f"`r` is {max(ranks)}, above the engine's `--max-lora-rank` of {max_rank}"]
    return []
