"""A recipe from a file, flags and --set; the command around it."""

from pathlib import Path

import pytest
from fixtures.models import add_artifact, read_files
from typer.testing import CliRunner

from freehold.core.cli.main import build_app
from freehold.core.errors import ConfigError, EnvironmentProblem, NotFoundError
from freehold.core.store import Store
from freehold.finetune.recipe_file import read_recipe
from freehold.finetune.watching.trackers import check_trackers

GIVEN = {"model": "m", "data.train": ["a.jsonl"]}


def test_flags_and_set_win_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "model: a\ndata: {train: [x.jsonl], evalFraction: 0.2}\ntraining: {epochs: 1, learning_rate: 1.0e-3}\n"
    )
    found = read_recipe(
        path, {"model": "b"}, ["training.epochs=5", "training.learningRate=2e-4", "lora.targets=[q_proj]"]
    )
    assert (found.model, found.data.train, found.data.eval_fraction) == ("b", ("x.jsonl",), 0.2)
    assert (found.training.epochs, found.training.learning_rate, found.lora.targets) == (5, 2e-4, ("q_proj",))


def test_set_takes_both_spellings_and_builds_sections() -> None:
    found = read_recipe(None, GIVEN, ["watch.keep_checkpoints=3", "training.batchSize=2"])
    assert (found.watch.keep_checkpoints, found.training.batch_size) == (3, 2)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["training.epoch=5"], "training.epoch: no such field"),
        (["training.epochs=-1"], "training.epochs: Input should be greater than 0"),
        (["epochs 5"], "is not KEY=VALUE"),
        (["lora.targets=["], "is not a YAML value"),
        (["lora.dora=true"], "no engine serves an adapter with lora.dora"),
    ],
)
def test_what_is_wrong_is_named_by_its_field(settings: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_recipe(None, GIVEN, settings)
    assert said in str(refused.value)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        read_recipe(None, {}, ["training.epochs=0", "lora.rank=0"])
    assert len(refused.value.problems) == 4  # model and data too


def test_files_that_are_no_recipes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="No recipe"):
        read_recipe(tmp_path / "none.yaml", {})
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(ConfigError, match="is not a recipe"):
        read_recipe(tmp_path / "list.yaml", {})
    (tmp_path / "broken.yaml").write_text("model: [\n")
    with pytest.raises(ConfigError, match="is not YAML"):
        read_recipe(tmp_path / "broken.yaml", {})


def test_trackers_that_are_not_installed_are_named() -> None:
    with pytest.raises(EnvironmentProblem, match="mlflow, wandb") as refused:
        check_trackers(["mlflow", "wandb"])
    assert "pip install mlflow wandb" in refused.value.next_step
    check_trackers([])


def test_a_dry_run_prints_the_plan_and_trains_nothing(
    tiny_model: Path, facts_file: Path, home: Path, tmp_path: Path
) -> None:
    add_artifact(Store(home / "freehold" / "store"), "tiny", read_files(tiny_model))
    ended = CliRunner().invoke(
        build_app(), ["finetune", "--model", "tiny", "--data", str(facts_file), "--dry-run", "--format", "json"]
    )
    assert ended.exit_code == 0, ended.output
    assert '"steps": "9 of 8 examples, 3 an epoch"' in ended.stdout
    assert "float32 on cpu" in ended.stdout or "bfloat16 on cpu" in ended.stdout
    assert not (home / "freehold" / "runs").exists()
