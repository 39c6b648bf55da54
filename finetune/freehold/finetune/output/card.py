"""The card (`README.md`) of what a run made: what it is, how it was made, how it is used."""

from typing import Any

from freehold.core.store import Artifact
from freehold.finetune.recipe import Recipe


def adapter_card(name: str, base: Artifact, recipe: Recipe, metrics: dict[str, Any]) -> str:
    """Markdown with the front matter that model hubs read."""
    lora, training = recipe.lora, recipe.training
    numbers = "\n".join(f"| {key} | {value} |" for key, value in metrics.items())
    license_line = f"license: {base.lineage.license}\n" if base.lineage.license else ""
    return f"""---
library_name: peft
base_model: {base.name}
{license_line}tags: [lora, {training.objective}]
---

# {name}

A LoRA adapter for `{base.id}` (content digest `{base.lineage.digest[:16]}…`), trained by Freehold with the objective
{training.objective}: rank {lora.rank}, {training.epochs if training.max_steps is None else training.max_steps} \
{"epochs" if training.max_steps is None else "steps"}, seed {training.seed}. `recipe.yaml` makes the same run again.

| metric | value |
|---|---|
{numbers}

`parity.json` holds what the trained model answers; `freehold parity {name}` proves that an engine serves the same.

    freehold parity {name}
    freehold merge {name}
"""
