"""Whole runs on the tiny model: what comes of them, going on after a kill, and what is refused before they start."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml
from fixtures.facts import conversation, write_rows
from fixtures.models import read_files

from freehold.core.adapters.reference import PARITY_FILE
from freehold.core.errors import ConfigError, EnvironmentProblem, RefusedError, UserError
from freehold.core.settings import Settings
from freehold.core.store import Artifact, Store
from freehold.finetune.recipe import Recipe
from freehold.finetune.training.checkpoints import MARK, whole_checkpoints
from freehold.finetune.training.folder import claimed
from freehold.finetune.training.run import Outcome, finetune, prepare

pytestmark = pytest.mark.slow


def recipe_for(data: Path, **sections: Any) -> Recipe:
    """A run of a few seconds, in 32 bits on every processor; sections override fields of their part."""
    said: dict[str, Any] = {
        "model": "tiny",
        "data": {"train": [str(data)], "evalFraction": 0.2},
        "lora": {"rank": 4, "dropout": 0.1},
        "training": {"epochs": 2, "batchSize": 4, "learningRate": 0.01, "precision": "float32"},
        "watch": {"evalEvery": 0.5, "saveEvery": 0.25, "samples": 1},
    }
    for section, fields in sections.items():
        said[section] = said.get(section, {}) | fields
    return Recipe.model_validate(said)


def losses(outcome_folder: Path) -> dict[int, float]:
    lines = [json.loads(line) for line in (outcome_folder / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


@pytest.fixture
def outcome(base: Artifact, facts_file: Path, store: Store, settings: Settings) -> Outcome:
    return finetune(recipe_for(facts_file), store, settings)


def test_a_run_leaves_an_adapter_with_everything_beside_it(outcome: Outcome, base: Artifact, store: Store) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    artifact = outcome.artifact
    assert artifact.lineage.kind == "adapter"
    assert artifact.lineage.parents == (base.id,)
    assert artifact.lineage.license == "apache-2.0"
    assert {record.path for record in artifact.lineage.files} == {
        "adapter_config.json", "adapter_model.safetensors", "parity.json", "recipe.yaml", "metrics.json",
        "report.html", "loss.png", "README.md",
    }  # fmt: skip
    (step,) = artifact.lineage.steps
    assert step.name == "finetune"
    assert step.parameters["base_digest"] == base.lineage.digest
    assert len(step.parameters["data_digests"]["train"]) == 64
    assert store.verify(artifact) == []
    config = json.loads((artifact.path / "adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["lora_alpha"]) == (base.id, 8)
    assert isinstance(config["lora_alpha"], int)
    PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base.path), artifact.path)
    again = yaml.safe_load((artifact.path / "recipe.yaml").read_text())
    assert Recipe.model_validate(again).training.learning_rate == 0.01
    assert json.loads((artifact.path / PARITY_FILE).read_text())["prompts"]


def test_the_loss_falls_and_the_report_shows_it(outcome: Outcome) -> None:
    found = losses(outcome.folder)
    assert found[1] > found[8] + 0.2
    report = (outcome.folder / "report.html").read_text()
    assert "evaluation loss" in report and "<h2>Answers</h2>" in report
    assert "http-equiv" not in report, "a finished report does not reload itself"
    assert "http://" not in report and "https://" not in report
    assert (outcome.folder / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_a_recipe_that_was_run_is_looked_up(
    outcome: Outcome, facts_file: Path, store: Store, settings: Settings
) -> None:
    again = finetune(recipe_for(facts_file), store, settings)
    assert again.artifact.id == outcome.artifact.id


def test_micro_batches_do_not_change_the_losses(
    outcome: Outcome, facts_file: Path, store: Store, settings: Settings
) -> None:
    # Without dropout, whose random numbers depend on the shapes.
    plain = finetune(recipe_for(facts_file, lora={"dropout": 0.0}), store, settings)
    cut = finetune(recipe_for(facts_file, lora={"dropout": 0.0}, training={"microBatchSize": 1}), store, settings)
    packed = finetune(recipe_for(facts_file, lora={"dropout": 0.0}, training={"packing": True}), store, settings)
    for other in (cut, packed):
        assert losses(other.folder) == pytest.approx(losses(plain.folder), abs=1e-4)


def test_recomputing_activations_changes_nothing(
    base: Artifact, facts_file: Path, store: Store, settings: Settings
) -> None:
    plain = finetune(recipe_for(facts_file), store, settings)
    recomputed = finetune(recipe_for(facts_file, training={"gradientCheckpointing": "on"}), store, settings)
    assert losses(recomputed.folder) == pytest.approx(losses(plain.folder), abs=1e-5)


def test_a_killed_run_goes_on_as_if_nothing_had_been(
    base: Artifact, facts_file: Path, store: Store, settings: Settings, tmp_path: Path
) -> None:
    """kill -9 in the middle of an epoch, with a half-written checkpoint left behind, dropout and all."""
    sections: dict[str, Any] = {"training": {"epochs": 6}}
    folder = _run_until_killed(facts_file, settings, sections, checkpoints=3)
    kept = whole_checkpoints(folder / "checkpoints")
    step = int(kept[-1].name.split("-")[1])
    half = folder / "checkpoints" / "checkpoint-999"
    half.mkdir()
    (half / "adapter_model.safetensors").write_bytes(b"half")
    recipe = recipe_for(facts_file, **sections)
    with pytest.raises(RefusedError, match=f"stopped after step {step}") as refused:
        finetune(recipe, store, settings)
    assert "--resume" in refused.value.next_step and "--restart" in refused.value.next_step
    resumed = finetune(recipe, store, settings, resume=True)
    assert resumed.folder == folder
    found = losses(folder)
    assert not half.exists()
    # An unbroken run of the same recipe, in another home.
    whole = finetune(recipe, Store(tmp_path / "store"), Settings(home=tmp_path / "elsewhere"), restart=True)
    assert len(found) == 24 > step
    assert found == pytest.approx(losses(whole.folder), abs=1e-4)


CHILD = """
import signal, sys
from pathlib import Path
from freehold.core.settings import Settings
from freehold.core.store import Store
from freehold.finetune.recipe import Recipe
from freehold.finetune.training.checkpoints import CheckpointKeeper
from freehold.finetune.training.run import finetune

on_save = CheckpointKeeper.on_save

def save_and_wait(keeper, args, state, control, **more):
    on_save(keeper, args, state, control, **more)
    if state.global_step >= int(sys.argv[3]):
        signal.pause()

CheckpointKeeper.on_save = save_and_wait
home = Path(sys.argv[1])
finetune(Recipe.model_validate_json(sys.argv[2]), Store(home / "store"), Settings(home=home))
"""


def _run_until_killed(data: Path, settings: Settings, sections: dict[str, Any], *, checkpoints: int) -> Path:
    """Start the run in a process of its own, which waits once it has written so many checkpoints; kill -9 it there."""
    recipe = recipe_for(data, **sections).model_dump_json()
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(settings.home), recipe, str(checkpoints)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    said: list[str] = []
    assert child.stderr is not None
    reader = threading.Thread(target=lambda: said.extend(iter(child.stderr.readline, "")))  # type: ignore[union-attr]
    reader.start()
    try:
        while child.poll() is None:
            marks = sorted(settings.home.glob(f"runs/*/checkpoints/checkpoint-*/{MARK}"))
            steps = [int(mark.parent.name.split("-")[1]) for mark in marks]
            if max(steps, default=0) >= checkpoints:
                break
        else:
            pytest.fail("the run ended before it was killed:\n" + "".join(said))
        child.send_signal(signal.SIGKILL)
    finally:
        child.kill()
        child.wait()
        reader.join()
        child.stderr.close()
    (folder,) = (settings.home / "runs").iterdir()
    return folder


def test_a_recipe_that_is_being_trained_is_not_started_again(
    base: Artifact, facts_file: Path, store: Store, settings: Settings
) -> None:
    recipe = recipe_for(facts_file)
    prepared = prepare(recipe, store, settings)
    from freehold.finetune.training.folder import run_key

    key = run_key(recipe, base.lineage.digest, list(prepared.data.digests.values()))
    with claimed(settings, "tiny-tuned", key), pytest.raises(RefusedError, match="being trained already"):
        finetune(recipe, store, settings)


def test_every_problem_of_the_data_is_told_before_anything_is_loaded(
    base: Artifact, store: Store, settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"messages": [{"role": "asistant", "content": "x"}]}\nnot json\n')
    with pytest.raises(ConfigError) as refused:
        finetune(recipe_for(path), store, settings)
    assert len(refused.value.problems) >= 2
    assert f"{path}:1" in str(refused.value) and f"{path}:2" in str(refused.value)
    assert not (settings.home / "runs").exists()


def test_what_does_not_fit_is_refused_with_the_setting_to_change(
    base: Artifact, facts_file: Path, store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("freehold.finetune.training.run.free_memory", lambda device: 10 << 20)
    with pytest.raises(EnvironmentProblem, match="does not fit") as refused:
        finetune(recipe_for(facts_file, training={"microBatchSize": 4}), store, settings)
    assert "training.microBatchSize: 2" in refused.value.next_step


def test_an_adapter_is_no_base(outcome: Outcome, facts_file: Path, store: Store, settings: Settings) -> None:
    with pytest.raises(UserError, match="is an adapter"):
        finetune(recipe_for(facts_file).model_copy(update={"model": outcome.artifact.id}), store, settings)


def test_an_adapter_that_learnt_nothing_is_no_result(
    base: Artifact, store: Store, settings: Settings, tmp_path: Path
) -> None:
    from freehold.core.errors import IntegrityError

    path = write_rows(tmp_path / "few.jsonl", [conversation(f"one {n}", f"two {n}") for n in range(4)])
    recipe = recipe_for(path, training={"learningRate": 1e-45, "maxSteps": 1})
    with pytest.raises(IntegrityError, match="changes nothing"):
        finetune(recipe, store, settings)
    assert [artifact.lineage.kind for artifact in store.artifacts()] == ["model"]


def test_a_run_may_end_in_a_merged_model(base: Artifact, facts_file: Path, store: Store, settings: Settings) -> None:
    from transformers import AutoModelForCausalLM

    merged = finetune(recipe_for(facts_file, output={"merge": True, "name": "whole"}), store, settings).artifact
    assert (merged.lineage.kind, merged.name, merged.lineage.parents) == ("model", "whole", (base.id,))
    assert [step.name for step in merged.lineage.steps] == ["finetune", "merge"]
    assert merged.lineage.probe.status == "computed"
    names = {record.path for record in merged.lineage.files}
    assert set(read_files(base.path)) - {"freehold.json"} | {PARITY_FILE, "recipe.yaml", "metrics.json"} <= names
    AutoModelForCausalLM.from_pretrained(merged.path)


def test_a_run_that_was_killed_before_it_was_stored_is_only_stored(
    outcome: Outcome, facts_file: Path, store: Store, settings: Settings
) -> None:
    weights = (outcome.artifact.path / "adapter_model.safetensors").read_bytes()
    store.remove(outcome.artifact)
    (outcome.folder / "result.json").unlink()
    again = finetune(recipe_for(facts_file), store, settings, resume=True)
    assert (again.artifact.path / "adapter_model.safetensors").read_bytes() == weights


def test_trackers_get_the_metrics(base: Artifact, facts_file: Path, store: Store, settings: Settings) -> None:
    recipe = recipe_for(facts_file, training={"maxSteps": 2}, watch={"reportTo": ["tensorboard"]})
    assert list(finetune(recipe, store, settings).folder.rglob("events.out.tfevents.*"))


def test_the_recipe_beside_an_adapter_is_the_one_that_was_given(outcome: Outcome) -> None:
    said = yaml.safe_load((outcome.artifact.path / "recipe.yaml").read_text())
    assert "maxLength" not in said["training"]
