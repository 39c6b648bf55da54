"""A merged model: the adapter's update added to the base's weights, proven to say what both said together."""

import shutil
from pathlib import Path
from typing import Any

from freehold.core.adapters.reference import PARITY_FILE
from freehold.core.errors import GateError, UserError
from freehold.core.model.loading import load_model, load_tokenizer
from freehold.core.probe.reference import try_probe_reference
from freehold.core.progress import phase
from freehold.core.quiet import quiet_libraries
from freehold.core.store import Artifact, Lineage, Step, Store, content_digest, hash_folder
from freehold.core.store.lineage import artifact_id
from freehold.finetune.output.adapter import package_versions
from freehold.finetune.output.likeness import FLOAT32_LIMIT, STORED_LIMIT, TEXTS, check_alike, logprobs

WEIGHTS = (".safetensors", ".safetensors.index.json")
OWN = ("config.json", "freehold.json", "README.md")


def merge(adapter: Artifact, store: Store, *, name: str | None = None) -> Artifact:
    """Merge a stored adapter into its base and store the model, named `<adapter>-merged` unless told.

    Raises UserError when it is no adapter or its base is gone, GateError when the merged model says something else.
    """
    if adapter.lineage.kind != "adapter":
        raise UserError(f"{adapter.id} is no adapter", next_step="Name one of `freehold store list`.")
    base = base_of(adapter, store)
    with store.use(base), store.use(adapter):
        with phase(f"Loading {base.id} and {adapter.id}"):
            model = load_with_adapter(base, adapter.path)
        return store_merged(
            model,
            base,
            store,
            name=name or f"{adapter.name}-merged",
            steps=adapter.lineage.steps,
            records=adapter.path,
            parameters={"adapter": adapter.id, "adapter_digest": adapter.lineage.digest},
        )


def base_of(adapter: Artifact, store: Store) -> Artifact:
    """The very artifact that an adapter was trained on. Raises UserError when the store has it no more."""
    parents = [found for parent in adapter.lineage.parents if (found := store.find(parent)) and found.id == parent]
    if not parents:
        raise UserError(
            f"The base of {adapter.id} is not in the store",
            why=f"it was trained on {', '.join(adapter.lineage.parents) or 'an unknown model'}",
            next_step="Pull the same model again; an adapter fits no other.",
        )
    return parents[0]


def load_with_adapter(base: Artifact, adapter: Path) -> Any:
    """Base and adapter in float32 on the CPU, as a `peft.PeftModel`."""
    with quiet_libraries():
        from peft import PeftModel

        return PeftModel.from_pretrained(load_model(base, "float32", "cpu"), adapter)


def store_merged(
    model: Any,
    base: Artifact,
    store: Store,
    *,
    name: str,
    steps: tuple[Step, ...],
    records: Path,
    parameters: dict[str, Any],
) -> Artifact:
    """Merge a `peft.PeftModel` and store it with what of `records` tells how it was made. The model is used up."""
    tokenizer = load_tokenizer(base)
    texts = [tokenizer.encode(text) for text in TEXTS]
    dtype = stored_dtype(base)
    with phase("Merging"):
        model.float()
        expected = logprobs(model, texts)
        with quiet_libraries():
            merged = model.merge_and_unload()
        exact = check_alike(expected, logprobs(merged, texts), FLOAT32_LIMIT, "The merged model")
    with store.staging(f"merge:{name}:{base.id}:{parameters}") as staging:
        shutil.rmtree(staging.result, ignore_errors=True)
        with phase(f"Writing {dtype} weights"), quiet_libraries():
            write_merged(merged, base, dtype, staging.result)
            del merged, model
        with phase("Comparing what was written with base and adapter"):
            written = load_model(base, dtype, "cpu", folder=staging.result)
            stored = check_alike(expected, logprobs(written, texts), STORED_LIMIT[dtype], "The written model")
            del written
        for file in (PARITY_FILE, "recipe.yaml", "metrics.json", "report.html", "loss.png"):
            if (records / file).is_file():
                shutil.copy(records / file, staging.result / file)
        with phase("Computing the golden-probe reference (transformers, float32)"), quiet_libraries():
            probe = try_probe_reference(staging.result, allow_remote_code="remote-code" in base.lineage.allowed)
        files = hash_folder(staging.result)
        measured = {"divergence_nats": exact, "stored_divergence_nats": stored, "dtype": dtype}
        step = Step(name="merge", parameters={**parameters, **measured}, versions=package_versions())
        lineage = Lineage(
            id=artifact_id(name, files),
            name=name,
            digest=content_digest(files),
            parents=(base.id,),
            steps=(*steps, step),
            allowed=base.lineage.allowed,
            license=base.lineage.license,
            files=files,
            probe=probe,
        )
        return store.add(staging, lineage)


def write_merged(merged: Any, base: Artifact, dtype: str, folder: Path) -> None:
    """Weights in the base's own type, and everything beside the weights as the base has it."""
    import torch

    merged.to(getattr(torch, dtype)).save_pretrained(folder, safe_serialization=True)
    for record in base.lineage.files:
        if record.path.endswith(WEIGHTS) or record.path in OWN:
            continue
        target = folder / record.path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(base.path / record.path, target)


def stored_dtype(base: Artifact) -> str:
    """The type of the base's weights, which the merged ones get. Raises GateError for quantized ones."""
    from safetensors import safe_open

    found: dict[str, int] = {}
    for path in base.path.glob("*.safetensors"):
        with safe_open(path, framework="pt") as tensors:
            for key in tensors.keys():  # noqa: SIM118 - no mapping
                kind = tensors.get_slice(key).get_dtype()
                found[kind] = found.get(kind, 0) + 1
    most = max(found, key=lambda kind: found[kind])
    names = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}
    if most not in names:
        raise GateError(
            f"{base.id} cannot take an adapter into its weights",
            why=f"they are quantized ({most})",
            next_step="Serve the adapter beside it, or merge into the model before it was quantized.",
        )
    return names[most]
