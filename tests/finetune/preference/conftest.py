"""Three preferences on the tiny model, and a run over them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from freehold.core.dataset.examples import Origin, Preference
from freehold.finetune.masking.masker import Masker
from freehold.finetune.recipe import Recipe
from freehold.finetune.training.objective import Objective, TrainerSetup


def preference(line: int, question: str, chosen: str, rejected: str) -> Preference:
    def said(text: str) -> tuple[dict[str, Any], ...]:
        return ({"role": "assistant", "content": text},)

    return Preference(
        Origin("pairs.jsonl", line), ({"role": "user", "content": question},), said(chosen), said(rejected)
    )


PAIRS = [
    preference(1, "Who owns it?", "You do.", "A vendor does, and it will tell you so."),
    preference(2, "Where is it?", "Here.", "Elsewhere."),
    preference(3, "one two three", "four five", "seven"),
]


@pytest.fixture
def tokenizer(tiny_model: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_model)


@pytest.fixture
def masker(tokenizer: Any) -> Masker:
    return Masker(tokenizer)


@pytest.fixture
def make_setup(tiny_model: Path, tokenizer: Any, masker: Masker, tmp_path: Path) -> Callable[..., TrainerSetup]:
    """Builds a run of an objective over PAIRS with a fresh adapter."""

    def make(
        objective: Objective, *, steps: int = 1, batch: int = 4, micro: int = 2, evaluate: bool = False, **training: Any
    ) -> TrainerSetup:
        import torch
        from peft import LoraConfig, get_peft_model
        from transformers import AutoModelForCausalLM

        recipe = Recipe.model_validate(
            {"model": "tiny", "data": {"train": ["pairs.jsonl"]}}
            | {"training": {"objective": objective.name, "batch_size": batch, **training}}
        )
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
        adapter = LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"])
        rows = objective.tokenise(PAIRS, masker, recipe)
        arguments = {
            "output_dir": str(tmp_path / "run"),
            "max_steps": steps,
            "per_device_train_batch_size": micro,
            "per_device_eval_batch_size": micro,
            "gradient_accumulation_steps": batch // micro,
            "learning_rate": 5e-3,
            "lr_scheduler_type": "constant",
            "seed": 1,
            "use_cpu": True,
            "bf16": False,
            "gradient_checkpointing": False,
            "logging_steps": 1,
            "save_strategy": "no",
            "report_to": "none",
            "disable_tqdm": True,
            "remove_unused_columns": False,
            "dataloader_pin_memory": False,
        }
        peft_model = get_peft_model(model, adapter)
        return TrainerSetup(recipe, peft_model, tokenizer, arguments, rows, rows if evaluate else None)

    return make
