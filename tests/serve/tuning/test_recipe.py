"""What a job becomes for `freehold finetune` is a recipe that this reads; and where jobs run."""

from pathlib import Path
from typing import Any

import pytest

from freehold.finetune.recipe import Recipe
from freehold.serve.config import TuningConfig, TuningDefaults
from freehold.serve.gateway.errors import RequestError
from freehold.serve.state.tuning import JobRecord
from freehold.serve.tuning.naming import artifact_name, tuned_name
from freehold.serve.tuning.recipe import recipe_of
from freehold.serve.tuning.runner import gpu_numbers, places

JOB_ID = "ftjob-0123456789abcdef01234567"


def job(method: str, **given: Any) -> JobRecord:
    auto = {"n_epochs": "auto", "batch_size": "auto", "learning_rate_multiplier": "auto"}
    request = {"method": {"type": method, method: {"hyperparameters": {**auto, **given}}}, "seed": 7}
    unset = dict.fromkeys(JobRecord.__dataclass_fields__)
    return JobRecord(**{**unset, "id": JOB_ID, "model": "org/Model_8B", "request": request})  # type: ignore[arg-type]


def test_what_a_client_asks_for_reaches_the_recipe() -> None:
    asked = job("supervised", n_epochs=2, batch_size=4, learning_rate_multiplier=0.5)
    defaults = TuningDefaults(rank=8, learning_rate=1e-4, max_length=512)
    recipe = Recipe.model_validate(recipe_of(asked, "base-1", Path("/a.jsonl"), Path("/b.jsonl"), defaults))
    training = recipe.training
    assert (training.objective, training.epochs, training.batch_size, training.seed) == ("sft", 2, 4, 7)
    assert (training.learning_rate, training.learning_rate_multiplier, training.max_length) == (1e-4, 0.5, 512)
    assert (recipe.model, recipe.data.train, recipe.data.eval) == ("base-1", ("/a.jsonl",), ("/b.jsonl",))
    assert (recipe.lora.rank, recipe.output.name) == (8, f"org-model_8b-{JOB_ID}")


def test_auto_is_the_deployments_choice() -> None:
    recipe = Recipe.model_validate(recipe_of(job("dpo", beta="auto"), "b", Path("/a.jsonl"), None, TuningDefaults()))
    assert (recipe.training.objective, recipe.training.epochs, recipe.training.batch_size) == ("dpo", 3, 8)
    assert (recipe.training.preference_beta, recipe.data.eval, recipe.data.eval_fraction) == (0.1, (), 0.1)
    strict = Recipe.model_validate(recipe_of(job("dpo", beta=0.3), "b", Path("/a.jsonl"), None, TuningDefaults()))
    assert strict.training.preference_beta == 0.3


def test_the_artifact_of_a_job_has_a_name_of_its_own() -> None:
    names = {artifact_name("m" * 128, JOB_ID), artifact_name("m" * 128, JOB_ID[:-1] + "8"), artifact_name("Ä", JOB_ID)}
    assert len(names) == 3 and all(len(name) <= 63 for name in names)


def test_a_name_that_gets_too_long_is_refused_with_the_room_that_there_is() -> None:
    assert tuned_name("m", "Team of Übung", "x", JOB_ID) == "ft:m:Team-of-bung:x:01234567"
    assert tuned_name("m", "", None, JOB_ID) == "ft:m:freehold::01234567"
    with pytest.raises(RequestError, match="too long") as caught:
        tuned_name("m" * 100, "", "x" * 20, JOB_ID)
    assert (caught.value.param, caught.value.next_step) == ("suffix", "Take at most 6 characters.")
    assert len(tuned_name("m" * 100, "", "x" * 6, JOB_ID)) == 128


@pytest.mark.parametrize(
    ("section", "gpus", "expected"),
    [
        ({}, [], [None]),
        ({}, [0, 1], [0, 1]),
        ({"gpus": (1,)}, [0, 1], [1]),
        ({"concurrent_jobs": 3}, [0, 1], [0, 1, 0]),
        ({"concurrent_jobs": 2}, [], [None, None]),
        ({"concurrent_jobs": 0}, [0], []),
    ],
)
def test_one_job_a_gpu(section: dict[str, Any], gpus: list[int], expected: list[int | None]) -> None:
    assert places(TuningConfig(models=("m",), **section), gpus) == expected


def test_only_the_gpus_that_this_process_may_use_are_used() -> None:
    assert gpu_numbers({"CUDA_VISIBLE_DEVICES": "2,3"}) == [2, 3]
    assert gpu_numbers({"CUDA_VISIBLE_DEVICES": ""}) == []
