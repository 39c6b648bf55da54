"""Which adapters an engine is given: of the right base, of a shape that it serves, and judged."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from freehold.core.adapters import adapter_ranks, engine_rank, refusals
from freehold.core.adapters.reference import read_parity
from freehold.core.errors import FreeholdError, IntegrityError, RefusedError
from freehold.core.gates import require_verdict
from freehold.core.policy import NO_POLICY, Policies, facts_of
from freehold.core.store import Artifact, Store
from freehold.serve.config import ServedModel, VllmEngine

ADAPTER_CONFIG = "adapter_config.json"
LEAST_RANK = 64
"""What an engine is started for when nobody says otherwise: of the rank of QLoRA's paper and of nearly all published
adapters. Memory grows with it: four slots of rank 64 on every linear layer of an 8B model take about 1.3 GB."""


def admit(
    store: Store,
    base: Artifact,
    reference: str,
    *,
    accept: Iterable[str],
    max_rank: int,
    policies: Policies = NO_POLICY,
) -> Artifact:
    """The adapter of that id or name, if an engine that serves `base` may load it.

    `accept` names gates that it need not have passed, `max_rank` is the engine's `--max-lora-rank`. Reads small files
    only: whether the weights are whole is for `verify_files`. Raises NotFoundError, RefusedError with every reason, and
    PolicyError with everything that `policies` have against it or its base.
    """
    adapter = store.get(reference)
    reasons, steps = [], []
    if adapter.lineage.kind != "adapter":
        raise RefusedError(
            f"{adapter.id} is no adapter", why="it is a model", next_step="Serve it as a model, under `models`."
        )
    if not _is_of(adapter, base):
        parents = ", ".join(adapter.lineage.parents) or "nothing that is known"
        reasons.append(f"it was trained on {parents}, and the engine serves {base.id}")
        steps.append("Load it into an engine of its own base, or train it on this one.")
    if refused := refusals(read_adapter_config(adapter.path), max_rank=max_rank):
        reasons += refused
        steps.append("Raise `engine.maxLoraRank` if it is the rank; else merge it (`freehold merge`).")
    if "parity" not in accept:
        try:
            require_verdict(
                store, adapter, "parity", judge=f"freehold parity {adapter.id}", accept="`accept: [parity]`"
            )
        except RefusedError as error:
            reasons.append(str(error))
            steps.append(error.next_step)
    if reasons:
        raise RefusedError(f"{adapter.id} may not be loaded", why="; ".join(reasons), next_step=" ".join(steps))
    if policies:
        facts = facts_of(adapter, store, policies.catalogue, base=base)
        policies.enforce(facts, policies.stage, f"{adapter.id} may not be loaded")
    return adapter


def verify_files(store: Store, adapter: Artifact) -> None:
    """Read every file of the adapter again. Raises IntegrityError on one that is not what its lineage says."""
    if problems := store.verify(adapter):
        listed = "; ".join(f"{problem.path}: {problem.problem}" for problem in problems)
        raise IntegrityError(
            f"{adapter.id} is damaged", why=listed, next_step="Remove it from the store, and bring it there again."
        )


def lora_rank_of(model: ServedModel, store: Store) -> int | None:
    """The `--max-lora-rank` of a model's engine; None if that is started for the model alone."""
    if model.adapters is None or not isinstance(model.engine, VllmEngine):
        return None
    if model.engine.max_lora_rank is not None:
        return model.engine.max_lora_rank
    ranks = [LEAST_RANK]
    for adapter in model.adapters.values():
        try:
            config = read_adapter_config(store.get(adapter.artifact).path)
            ranks.append(engine_rank(adapter_ranks(config)))
        except FreeholdError:  # `admit` says what is wrong with it
            continue
    return engine_rank(ranks)


def read_adapter_config(folder: Path) -> dict[str, Any]:
    """peft's config of an adapter. Raises IntegrityError."""
    path = folder / ADAPTER_CONFIG
    try:
        config: Any = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise IntegrityError(f"{path} is no adapter's config", why=str(error)) from error
    if not isinstance(config, dict):
        raise IntegrityError(f"{path} is no adapter's config", why="it is no JSON object")
    return config


def _is_of(adapter: Artifact, base: Artifact) -> bool:
    """By the lineage; or by the base's content, which a second pull under another name shares."""
    if base.id in adapter.lineage.parents:
        return True
    reference = read_parity(adapter.path)
    return reference is not None and reference.base_digest == base.lineage.digest
