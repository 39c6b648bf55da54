"""Shapes of adapters that no engine serves, trained and merged: the stored model is the one that was trained."""

from pathlib import Path
from typing import Any

import pytest
from fixtures.facts import invent, training_rows, write_rows

from freehold.core.settings import Settings
from freehold.core.store import Artifact, Store
from freehold.finetune.recipe import Recipe
from freehold.finetune.training.run import Outcome, finetune

pytestmark = pytest.mark.slow

VARIANTS: dict[str, dict[str, Any]] = {
    "rslora": {"lora": {"rslora": True}},
    "dora": {"lora": {"dora": True}},
    "pissa": {"lora": {"init": "pissa"}},
    "olora": {"lora": {"init": "olora"}},
    "gaussian": {"lora": {"init": "gaussian"}},
    "modules-to-save": {"lora": {"modules_to_save": ["lm_head"]}},
    "nf4": {"training": {"quantization": "nf4"}},
    "int8": {"training": {"quantization": "int8"}},
}


@pytest.fixture
def facts(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "facts.jsonl", training_rows(invent(5))[:12])


def run(variant: dict[str, Any], facts: Path, store: Store, settings: Settings, *, merge: bool) -> Outcome:
    said: dict[str, Any] = {
        "model": "tiny",
        "data": {"train": [str(facts)], "evalFraction": 0},
        "lora": {"rank": 4} | variant.get("lora", {}),
        # In 32 bits on every processor: rounding is not what is looked at.
        "training": {"epochs": 4, "batchSize": 4, "learningRate": 0.02, "precision": "float32"}
        | variant.get("training", {}),
        "watch": {"samples": 0},
        "output": {"merge": merge},
    }
    return finetune(Recipe.model_validate(said), store, settings)


def answers(folder: Path, adapter: Path | None = None) -> Any:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    if adapter:
        model = PeftModel.from_pretrained(model, adapter)
    with torch.no_grad():
        return torch.log_softmax(model(input_ids=torch.arange(5, 60).reshape(1, -1)).logits, -1)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_merged_model_is_base_and_adapter(
    name: str, base: Artifact, facts: Path, store: Store, settings: Settings
) -> None:
    import torch

    outcome = run(VARIANTS[name], facts, store, settings, merge=True)

    assert outcome.artifact.lineage.kind == "model"
    merged = answers(outcome.artifact.path)
    # peft repeats PiSSA's and OLoRA's change of the base when it loads such an adapter.
    torch.testing.assert_close(merged, answers(base.path, outcome.folder / "adapter"), atol=1e-4, rtol=0)
    assert (merged - answers(base.path)).abs().max() > 0.05


@pytest.mark.parametrize("name", ["dora", "pissa", "olora", "modules-to-save"])
def test_unmerged_they_are_refused_before_anything_is_read(name: str, store: Store, settings: Settings) -> None:
    with pytest.raises(ValueError, match="no engine serves an adapter with lora"):
        run(VARIANTS[name], Path("nothing.jsonl"), store, settings, merge=False)


@pytest.mark.parametrize("name", ["rslora", "gaussian", "nf4", "int8"])
def test_the_others_are_adapters_that_an_engine_serves(
    name: str, base: Artifact, facts: Path, store: Store, settings: Settings
) -> None:
    import json

    from freehold.core.adapters import refusals

    outcome = run(VARIANTS[name], facts, store, settings, merge=False)

    assert outcome.artifact.lineage.kind == "adapter"
    assert refusals(json.loads((outcome.artifact.path / "adapter_config.json").read_text())) == []
