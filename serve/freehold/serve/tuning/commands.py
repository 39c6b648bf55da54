"""The commands that do a job's work. They are the same ones that people type."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from freehold.serve.config import TuningConfig
from freehold.serve.confinement import confined
from freehold.serve.files.inspection import passed_on

Command = tuple[str, ...]
NICE = 10
_GIB = 1024**3


def freehold(*arguments: str) -> Command:
    """A command line of this installation."""
    return (sys.executable, "-m", "freehold.core.cli", *arguments)


@dataclass(frozen=True)
class Commands:
    """How jobs are checked and trained, within the limits of `config`."""

    config: TuningConfig
    program: Callable[..., Command] = freehold
    """Makes a command line of Freehold's arguments."""

    def check(self, train: Path, evaluation: Path | None, base: str) -> Command:
        """Read the files with the tokenizer of the model that will learn from them."""
        held_out = () if evaluation is None else ("--eval", str(evaluation))
        return self._confined("dataset", "check", str(train), *held_out, "--model", base, "--format", "json")

    def train(self, recipe: Path) -> Command:
        """Train by a recipe, from its last checkpoint if there is one."""
        return self._confined("finetune", str(recipe), "--resume")

    def judge(self, artifact: str) -> Command:
        """Hold what the engine serves of an adapter against what was trained."""
        return self._confined("parity", artifact)

    def _confined(self, *arguments: str) -> Command:
        memory_gib = self.config.memory_gib
        data_bytes = None if memory_gib is None else int(memory_gib * _GIB)
        return confined(*self.program(*arguments), nice=NICE, data_bytes=data_bytes)

    def environment(self, home: Path, gpu: int | None) -> dict[str, str]:
        """Of a command: nothing secret, no way out, one GPU."""
        device = {} if gpu is None else {"CUDA_VISIBLE_DEVICES": str(gpu)}
        return {**passed_on(), "FREEHOLD_HOME": str(home), "FREEHOLD_OFFLINE": "1", "HF_HUB_OFFLINE": "1", **device}
