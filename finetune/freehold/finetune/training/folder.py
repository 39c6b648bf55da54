"""The folder of one run: what it was told, what it learnt from, its checkpoints, what is seen of it, its result."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from freehold.core.errors import RefusedError
from freehold.core.settings import Settings
from freehold.core.store.atomic import write_atomically
from freehold.finetune.recipe import Recipe


@dataclass(frozen=True)
class RunFolder:
    """`<home>/runs/<name>-<digest>/`. One process writes it at a time (`claimed`); others may look."""

    path: Path

    @property
    def recipe(self) -> Path:
        return self.path / "recipe.json"

    @property
    def task(self) -> Path:
        """What was decided before the first step; there once everything that training reads is there."""
        return self.path / "task.json"

    @property
    def train_rows(self) -> Path:
        return self.path / "train.safetensors"

    @property
    def eval_rows(self) -> Path:
        return self.path / "eval.safetensors"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def metrics(self) -> Path:
        """A JSON line per logged step and evaluation."""
        return self.path / "metrics.jsonl"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def plot(self) -> Path:
        return self.path / "loss.png"

    @property
    def adapter(self) -> Path:
        """peft's files of the trained adapter; there only when training has ended."""
        return self.path / "adapter"

    @property
    def result(self) -> Path:
        """Names the artifact that came of the run."""
        return self.path / "result.json"

    def has_begun(self) -> bool:
        return self.task.is_file() and not self.result.is_file()

    def artifact_id(self) -> str | None:
        """Id of what the finished run stored; None before."""
        return json.loads(self.result.read_text())["artifact"] if self.result.is_file() else None

    def write_json(self, path: Path, value: Any) -> None:
        write_atomically(path, json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n")

    def clear(self) -> None:
        """Forget an earlier run; the lock stays."""
        for entry in self.path.iterdir():
            if entry.name == "lock":
                continue
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink()


def run_key(recipe: Recipe, base_digest: str, data_digests: list[str]) -> str:
    """The same for the same recipe, base and data: what makes a second start the same run."""
    told = recipe.model_dump_json() + base_digest + "".join(data_digests)
    return hashlib.sha256(told.encode()).hexdigest()[:12]


@contextmanager
def claimed(settings: Settings, name: str, key: str) -> Iterator[RunFolder]:
    """The run's folder, under a lock that the kernel drops when its holder dies.

    Raises RefusedError while another process trains the same recipe.
    """
    path = settings.home / "runs" / f"{name}-{key}"
    path.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise RefusedError(
            "This recipe is being trained already",
            why=f"another process works in {path}",
            next_step=f"Watch it at {path / 'report.html'}, or change the recipe to train another.",
        ) from error
    try:
        yield RunFolder(path)
    finally:
        lock.release()
