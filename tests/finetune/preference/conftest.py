"""Three preferences on the tiny model, and a run over them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from freehold.core.dataset.examples import Origin, Preference
from freehold.finetune.recipe import Recipe
from freehold.finetune.training.objective import Objective, TrainerSetup


class TemplateMasker:
    """The honest short form of the real masker: the answer is what the template adds to the prompt."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def preference(self, example: Preference) -> tuple[list[int], list[int], list[int]]:
        prompt = self._ids(example.prompt, add_generation_prompt=True)
        answers = [self._ids(example.prompt + answer) for answer in (example.chosen, example.rejected)]
        assert all(ids[: len(prompt)] == prompt for ids in answers)
        return prompt, answers[0][len(prompt) :], answers[1][len(prompt) :]

    def _ids(self, messages: Any, **rest: Any) -> list[int]:
        ids: list[int] = self._tokenizer.apply_chat_template(list(messages), return_dict=False, **rest)
        return ids


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
def masker(tokenizer: Any) -> TemplateMasker:
    return TemplateMasker(tokenizer)


@pytest.fixture
def make_setup(tiny_model: Path, tokenizer: Any, masker: TemplateMasker, tmp_path: Path) -> Callable[..., TrainerSetup]:
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
