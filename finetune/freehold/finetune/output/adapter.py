"""The trained adapter as an artifact that peft and vLLM load as it is."""

import json
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from freehold.core.store import Artifact, Lineage, Step, Store, content_digest, hash_folder
from freehold.core.store.lineage import artifact_id
from freehold.finetune.output.card import adapter_card
from freehold.finetune.output.effect import check_has_effect
from freehold.finetune.recipe import Recipe
from freehold.finetune.training.folder import RunFolder

PACKAGES = ("freehold", "peft", "torch", "transformers", "accelerate")


def store_adapter(
    folder: RunFolder, base: Artifact, recipe: Recipe, metrics: dict[str, Any], digests: dict[str, str], store: Store
) -> Artifact:
    """Put the run's adapter into the store, with its parity reference, recipe, metrics, report and card.

    Raises IntegrityError for an adapter that does nothing.
    """
    check_has_effect(folder.adapter)
    name = recipe.output.name or f"{base.name}-tuned"
    step = finetune_step(recipe, metrics, digests, base)
    with store.staging(f"finetune:{folder.path}") as staging:
        shutil.rmtree(staging.result, ignore_errors=True)
        shutil.copytree(folder.adapter, staging.result)
        for file in (folder.report, folder.plot):
            if file.is_file():
                shutil.copy(file, staging.result / file.name)
        write_records(staging.result, recipe, metrics)
        (staging.result / "README.md").write_text(adapter_card(name, base, recipe, metrics))
        records = hash_folder(staging.result)
        lineage = Lineage(
            id=artifact_id(name, records),
            name=name,
            kind="adapter",
            digest=content_digest(records),
            parents=(base.id,),
            steps=(step,),
            license=base.lineage.license,
            files=records,
        )
        return store.add(staging, lineage)


def finetune_step(recipe: Recipe, metrics: dict[str, Any], digests: dict[str, str], base: Artifact) -> Step:
    """The training in a lineage."""
    return Step(
        name="finetune",
        parameters={
            "recipe": recipe.model_dump(mode="json", by_alias=True),
            "base_digest": base.lineage.digest,
            "data_digests": digests,
            "seed": recipe.training.seed,
            "metrics": metrics,
        },
        versions=package_versions(),
    )


def package_versions() -> dict[str, str]:
    """Versions of what trains and merges."""
    return {package: version(package) for package in PACKAGES}


def write_records(folder: Path, recipe: Recipe, metrics: dict[str, Any]) -> None:
    """`recipe.yaml`, which makes the same run again, and `metrics.json`."""
    said = recipe.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(said, sort_keys=False, allow_unicode=True))
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
