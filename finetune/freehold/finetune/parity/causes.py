"""From numbers that do not agree to the cause: the first of these that holds, with what shows it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from freehold.core.adapters import ENGINE_RANKS, refusals
from freehold.core.adapters.reference import ParityReference
from freehold.core.store import Artifact
from freehold.finetune.parity.compare import EFFECT_FLOOR, Comparison, Limits
from freehold.finetune.parity.contents import model_modules, read_adapter
from freehold.finetune.parity.merged import merge_cause
from freehold.finetune.parity.targets import listed, missing_cause, prefix_cause, unknown_cause


@dataclass(frozen=True)
class Judged:
    """What is judged: an adapter and the model that it is served on, or a merged model and the base it came from."""

    artifact: Artifact
    base: Artifact | None
    """None for a merged model whose base is gone from the store."""
    reference: ParityReference
    decode: Callable[[int], str]
    """The text of a token, for sentences."""

    @property
    def is_adapter(self) -> bool:
        return self.artifact.lineage.kind == "adapter"


def obstacles(judged: Judged, *, max_rank: int = ENGINE_RANKS[-1]) -> list[str]:
    """Why nothing needs to be served to know that it cannot agree, a sentence each; empty to go on."""
    if not judged.is_adapter:
        return []
    assert judged.base is not None, "an adapter is served on a base"
    adapter = read_adapter(judged.artifact.path)
    found = []
    base, trained_on = judged.base, judged.reference
    if trained_on.base_digest != base.lineage.digest:
        found.append(
            f"another base: it was trained on {trained_on.base} (content {trained_on.base_digest[:12]}), and would be "
            f"served on {base.id} (content {base.lineage.digest[:12]})"
        )
    found += [f"no engine serves it: {reason}" for reason in refusals(adapter.config, max_rank=max_rank)]
    if adapter.broken:
        found.append(f"{listed(adapter.broken)} holds NaN or infinity")
    if adapter.is_zero:
        found.append("every update in it is zero, as before training")
    return found


def reasons(judged: Judged, comparison: Comparison, limits: Limits) -> list[str]:
    """Why the numbers are no parity, the cause first; empty when they are."""
    return list(_reasons(judged, comparison, limits))


def load_causes(judged: Judged) -> list[str]:
    """What in the files may be why an engine did not load it, or answers otherwise."""
    if not judged.is_adapter:
        cause = merge_cause(judged.artifact.path, judged.base.path) if judged.base else ""
        return [f"wrong merge: {cause}"] if cause else []
    assert judged.base is not None, "an adapter is served on a base"
    adapter, modules = read_adapter(judged.artifact.path), model_modules(judged.base.path)
    if prefix := prefix_cause(adapter, modules):
        return [f"wrong keys: {prefix}"]
    unknown = unknown_cause(adapter, modules)
    return [*_missing(judged), *([f"wrong keys: {unknown}"] if unknown else [])]


def _missing(judged: Judged) -> list[str]:
    if not judged.is_adapter or judged.base is None:
        return []
    cause = missing_cause(judged.artifact.path, read_adapter(judged.artifact.path), model_modules(judged.base.path))
    return [f"missing module: {cause}"] if cause else []


def _reasons(judged: Judged, comparison: Comparison, limits: Limits) -> Iterator[str]:
    if comparison.renderings:
        yield _template(judged, comparison)
    if comparison.base is not None and not comparison.base.mean <= limits.base_mean:
        yield _other_base(comparison.base.mean, limits.base_mean)
    numbers = list(_numbers(judged, comparison, limits))
    if not numbers:
        # A few lost tensors of many can hide in the rounding of bfloat16; the file tells of them all the same.
        yield from _missing(judged)
    else:
        if comparison.base is not None and comparison.base_tokens > limits.base_tokens:
            yield _other_base(comparison.base_tokens, limits.base_tokens)
        yield from load_causes(judged)
        yield from numbers


def _other_base(found: float, limit: float) -> str:
    return (
        f"another base: with the adapter off, the engine is {found:.3f} nats from the model that was trained on "
        f"(limit {limit:.2f})"
    )


def _template(judged: Judged, comparison: Comparison) -> str:
    first = comparison.renderings[0]
    return (
        f"another chat template: the engine renders {len(comparison.renderings)} of {comparison.prompts} prompts to "
        f"other tokens than the trainer; {first.prompt} has {first.found_count} tokens instead of "
        f"{first.expected_count}, the first difference is token {first.index}: {_shown(judged, first.found)} instead "
        f"of {_shown(judged, first.expected)}"
    )


def _numbers(judged: Judged, comparison: Comparison, limits: Limits) -> Iterator[str]:
    if not comparison.is_finite:
        yield "the engine's log-probabilities are NaN"
        return
    effect = comparison.effect
    if judged.is_adapter and effect.expected < EFFECT_FLOOR:
        yield (
            f"the adapter changes its base by {effect.expected:.4f} nats only, too little to tell whether an engine "
            f"applies it (at least {EFFECT_FLOOR})"
        )
    elif judged.is_adapter and not limits.effect_least <= effect.ratio <= limits.effect_most:
        yield (
            f"the engine shows {effect.ratio:.0%} of the adapter's effect: it changes the answers' log-probabilities "
            f"by {effect.found:.3f} nats where the trainer's model changes them by {effect.expected:.3f}"
        )
    if not comparison.tuned.mean <= limits.tuned_mean:
        yield (
            f"its log-probabilities are {comparison.tuned.mean:.3f} nats from the trainer's on average "
            f"(limit {limits.tuned_mean:.3f}), {comparison.tuned.worst:.3f} at the worst position"
        )
    if sure := comparison.beyond_ties(limits):
        first = sure[0]
        yield (
            f"{len(sure)} of {comparison.prompts} answers differ: after {first.prompt} it says "
            f"{_shown(judged, first.found)} where the trainer's model says {_shown(judged, first.expected)} "
            f"(token {first.index}, {first.gap:.2f} nats apart)"
        )


def _shown(judged: Judged, token: int | None) -> str:
    return "nothing" if token is None else repr(judged.decode(token))
