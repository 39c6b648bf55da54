"""What `freehold finetune` leaves in its run folder while it goes: metrics, a line each, and checkpoints."""

import json
import math
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RUNS = "runs"
METRICS = "metrics.jsonl"
TASK = "task.json"
CHECKPOINTS = "checkpoints"
_PREFIX = "checkpoint-"


@dataclass(frozen=True, slots=True)
class Measured:
    """One line of metrics. None is what the line does not tell."""

    step: int
    train_loss: float | None
    valid_loss: float | None
    learning_rate: float | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What the run has set out to do."""

    steps: int
    tokens_per_step: float

    def tokens(self, step: int) -> int:
        """Tokens that the model has seen by then."""
        return round(self.tokens_per_step * step)


class RunFolder:
    """The folder of the run whose artifact has this name; a job's name is its own, so there is one."""

    def __init__(self, home: Path, name: str) -> None:
        self._root = home / RUNS
        self._name = name
        self._read = 0
        """Bytes of the metrics that were taken in."""
        self._inode = 0
        """Of the file that they were read of: a run that resumes writes it anew."""

    def folder(self) -> Path | None:
        """Where the run is; None before it has begun."""
        found = sorted(self._root.glob(f"{self._name}-*"), key=lambda path: path.stat().st_mtime)
        return found[-1] if found else None

    def plan(self) -> Plan | None:
        """What the run has set out to do; None before it has."""
        folder = self.folder()
        try:
            plan = json.loads((folder / TASK).read_bytes())["plan"] if folder else None
        except FileNotFoundError:
            return None
        return plan and Plan(plan["steps"], plan["tokens_per_epoch"] / plan["steps_per_epoch"])

    def new_lines(self) -> list[Measured]:
        """What was measured since the last call, whole lines only; lines that were written anew come again."""
        folder = self.folder()
        if folder is None or not (folder / METRICS).is_file():
            return []
        with (folder / METRICS).open("rb") as stream:
            inode = os.fstat(stream.fileno()).st_ino
            if inode != self._inode:
                self._inode, self._read = inode, 0
            stream.seek(self._read)
            data = stream.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        return [line for line in map(_measured, whole.splitlines()) if line is not None]

    def all_lines(self) -> Iterator[Measured]:
        """Everything that was measured, from the start."""
        self._read = 0
        yield from self.new_lines()

    def checkpoints(self) -> list[int]:
        """Steps of the checkpoints that are there now."""
        folder = self.folder()
        if folder is None or not (folder / CHECKPOINTS).is_dir():
            return []
        numbers = (path.name.removeprefix(_PREFIX) for path in (folder / CHECKPOINTS).glob(f"{_PREFIX}*"))
        return sorted(int(number) for number in numbers if number.isdigit())

    def drop_checkpoints(self) -> None:
        """Free the disk of what only a run that goes on would need."""
        folder = self.folder()
        if folder is not None:
            shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)


def _measured(line: bytes) -> Measured | None:
    try:
        found = json.loads(line)
    except ValueError:  # torn by a kill in the middle of it
        return None
    if not isinstance(found, dict) or not isinstance(found.get("step"), int):
        return None
    return Measured(
        step=found["step"],
        train_loss=_number(found, "loss"),
        valid_loss=_number(found, "eval_loss"),
        learning_rate=_number(found, "learning_rate"),
    )


def _number(found: dict[str, Any], name: str) -> Any:
    value = found.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # JSON as Python writes it knows NaN; databases and clients do not.
    return value if math.isfinite(value) else None
