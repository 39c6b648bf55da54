"""Two workers on the CPU over gloo make what one makes; nothing of them outlives a failure."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import psutil
import pytest
from fixtures.facts import invent, training_rows, write_rows

from freehold.core.settings import Settings
from freehold.core.store import Artifact, Store
from freehold.finetune.recipe import Recipe
from freehold.finetune.training.run import Outcome, finetune

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def facts(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "facts.jsonl", training_rows(invent(5))[:21])


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Preferences between answers of unlike lengths, an odd number of them."""
    path = tmp_path / "pairs.jsonl"
    lines = [
        {
            "prompt": [{"role": "user", "content": f"What is item {i}?"}],
            "chosen": [{"role": "assistant", "content": f"It is number {i}."}],
            "rejected": [{"role": "assistant", "content": "Nobody knows" + " at all" * (i % 4) + "."}],
        }
        for i in range(11)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def recipe(data: Path, **parts: Any) -> Recipe:
    said: dict[str, Any] = {
        "model": "tiny",
        "data": {"train": [str(data)], "evalFraction": 0.2},
        "lora": {"rank": 4},
        "training": {"epochs": 2, "batchSize": 4, "microBatchSize": 2, "learningRate": 0.01},
        "watch": {"evalEvery": 0.4, "saveEvery": 1, "samples": 1},
    }
    for part, fields in parts.items():
        said[part] = said.get(part, {}) | fields
    return Recipe.model_validate(said)


def curve(outcome: Outcome, name: str) -> dict[int, float]:
    lines = [json.loads(line) for line in (outcome.folder / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line[name] for line in lines if name in line}


def weights(outcome: Outcome) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(outcome.folder / "adapter" / "adapter_model.safetensors")


def compare(data: Path, objective: str, launcher: str, store: Store, settings: Settings) -> None:
    """Run alone and with two workers; losses, weights and what is stored must be the same."""
    import torch

    one = {"training": {"objective": objective}}
    alone = finetune(recipe(data, **one), store, settings)
    shared = finetune(recipe(data, **one, scale={"workers": 2, "launcher": launcher}), store, settings)

    assert curve(shared, "loss") == pytest.approx(curve(alone, "loss"), abs=1e-4)
    assert curve(shared, "eval_loss") == pytest.approx(curve(alone, "eval_loss"), abs=1e-4)
    expected = weights(alone)
    largest = max(float(value.abs().max()) for name, value in expected.items() if "lora_B" in name)
    assert largest > 1e-3
    for name, value in weights(shared).items():
        torch.testing.assert_close(value, expected[name], atol=largest / 50, rtol=0, msg=name)
    assert (shared.artifact.path / "parity.json").is_file()
    assert (shared.artifact.path / "report.html").is_file()


@pytest.mark.parametrize("objective", ["sft", "dpo"])
def test_two_workers_make_what_one_makes(
    objective: str, base: Artifact, facts: Path, pairs: Path, store: Store, settings: Settings
) -> None:
    compare(facts if objective == "sft" else pairs, objective, "accelerate", store, settings)


@pytest.mark.filterwarnings("ignore")  # Ray deprecates parts of itself
def test_two_workers_of_ray_make_what_one_makes(
    base: Artifact, facts: Path, store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    # Short, since sockets lie in it. A cluster that was killed leaves its address behind.
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as folder:
        monkeypatch.setenv("RAY_TMPDIR", folder)
        (Path(folder) / "ray").mkdir()
        (Path(folder) / "ray" / "ray_current_cluster").write_text("127.0.0.1:9")

        compare(facts, "sft", "ray", store, settings)


class Running:
    """`freehold finetune` with two workers in a process of its own, training until it is told otherwise."""

    def __init__(self, settings: Settings, data: Path, tmp_path: Path) -> None:
        path = tmp_path / "recipe.json"
        endless = recipe(data, training={"epochs": 5000}, scale={"workers": 2})
        path.write_text(endless.model_dump_json(by_alias=True))
        self.home = settings.home
        self.process = subprocess.Popen(
            [sys.executable, "-m", "freehold.core.cli", "finetune", str(path)],
            env={**os.environ, "FREEHOLD_HOME": str(settings.home)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def workers(self) -> list[psutil.Process]:
        """By rank, once all of them train."""
        while not [path for path in self.home.glob("runs/*/metrics.jsonl") if path.stat().st_size]:
            assert self.process.poll() is None, self.process.communicate()[1]
        children = psutil.Process(self.process.pid).children()
        return sorted((c for c in children if "RANK" in c.environ()), key=lambda child: int(child.environ()["RANK"]))


def test_a_worker_that_is_killed_ends_the_run_with_its_name(
    base: Artifact, facts: Path, settings: Settings, tmp_path: Path
) -> None:
    running = Running(settings, facts, tmp_path)
    workers = running.workers()
    assert len(workers) == 2

    workers[1].kill()
    _, said = running.process.communicate(timeout=60)

    assert running.process.returncode == 7
    assert "Worker 1 of 2 was killed by signal 9" in said
    assert "--resume" in said
    assert not any(worker.is_running() for worker in workers)


def test_killing_the_command_leaves_no_worker(base: Artifact, facts: Path, settings: Settings, tmp_path: Path) -> None:
    running = Running(settings, facts, tmp_path)
    workers = running.workers()

    os.kill(running.process.pid, signal.SIGKILL)
    running.process.communicate()

    _, alive = psutil.wait_procs(workers, timeout=30)
    assert not alive
