"""The trained adapter as an artifact that peft and vLLM load as it is."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

from freehold.core.store import Artifact, FileRecord, Lineage, Step, Store, content_digest, hash_file
from freehold.core.store.lineage import artifact_id
from freehold.finetune.recipe import Recipe

PACKAGES = ("freehold", "peft", "torch", "transformers", "accelerate")


def store_adapter(
    model: Any, base: Artifact, recipe: Recipe, metrics: dict[str, Any], store: Store, folder: Path
) -> Artifact:
    """Put a trained `peft.PeftModel`'s adapter into the store."""
    name = recipe.output.name or f"{base.name}-tuned"
    with store.staging(f"finetune:{folder}") as staging:
        staging.result.mkdir(parents=True, exist_ok=True)
        model.peft_config["default"].base_model_name_or_path = base.id
        model.save_pretrained(staging.result, safe_serialization=True, save_embedding_layers=False)
        records = _records(staging.result)
        lineage = Lineage(
            id=artifact_id(name, records),
            name=name,
            kind="adapter",
            digest=content_digest(records),
            parents=(base.id,),
            steps=(
                Step(
                    name="finetune",
                    parameters={"recipe": recipe.model_dump(mode="json"), "metrics": metrics},
                    versions={package: version(package) for package in PACKAGES},
                ),
            ),
            license=base.lineage.license,
            files=records,
        )
        return store.add(staging, lineage)


def _records(folder: Path) -> tuple[FileRecord, ...]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return tuple(
        FileRecord(path=path.relative_to(folder).as_posix(), size_bytes=path.stat().st_size, sha256=hash_file(path))
        for path in paths
    )
