"""What a run measured, as the events, checkpoints and the result file of its job."""

import csv
import io
import time
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection

from freehold.serve.state.tuning import Happening, JobRecord
from freehold.serve.state.tuning_work import note_checkpoint, note_progress
from freehold.serve.tuning.run_folder import Measured, Plan, RunFolder

COLUMNS = ("step", "train_loss", "train_accuracy", "valid_loss", "valid_mean_token_accuracy")
"""Of OpenAI's result file. What is not measured stays empty."""


class Progress:
    """Follows one run. `look` reads the disk, `note` writes the database; they are called in turns."""

    def __init__(self, job: JobRecord, folder: RunFolder) -> None:
        self._folder = folder
        self._told = job.step
        self._began: tuple[float, int] | None = None
        """When the first step of this attempt was seen, and which it was."""
        self._latest: Measured | None = None
        self._losses: dict[int, dict[str, Any]] = {}
        self._checkpoints: list[int] = []
        self._plan: Plan | None = None
        self._tokens = job.trained_tokens

    def look(self) -> list[Happening]:
        """What to tell of the steps since the last look; steps that were told before a restart are not told again."""
        self._plan = self._plan or self._folder.plan()
        happenings = []
        for line in self._folder.new_lines():
            self._take(line)
            if line.step > self._told or (line.valid_loss is not None and line.step == self._told):
                self._told = max(self._told, line.step)
                happenings.append(_happening(line, self._plan))
        self._checkpoints = self._folder.checkpoints()
        return happenings

    def _take(self, line: Measured) -> None:
        self._latest = line
        self._began = self._began or (time.time(), line.step)
        if self._plan is not None:
            self._tokens = max(self._tokens or 0, self._plan.tokens(line.step))
        at_step = self._losses.setdefault(line.step, {"step": line.step})
        named = (("train_loss", line.train_loss), ("valid_loss", line.valid_loss), ("full_valid_loss", line.valid_loss))
        at_step |= {name: value for name, value in named if value is not None}

    def note(self, connection: Connection, job_id: str) -> None:
        """Write down how far it is."""
        finish = self._estimated_finish()
        note_progress(connection, job_id, step=self._told, trained_tokens=self._tokens, estimated_finish=finish)
        for step in self._checkpoints:
            note_checkpoint(connection, job_id, step, self._losses.get(step, {"step": step}))

    def _estimated_finish(self) -> float | None:
        """By the speed of this attempt so far."""
        if self._latest is None or self._began is None or self._plan is None:
            return None
        began, first = self._began
        done = self._latest.step - first
        if done <= 0:
            return None
        return time.time() + (time.time() - began) / done * max(0, self._plan.steps - self._latest.step)


def _happening(line: Measured, plan: Plan | None) -> Happening:
    data: dict[str, Any] = {"step": line.step}
    named = (
        ("total_steps", plan and plan.steps),
        ("train_loss", line.train_loss),
        ("valid_loss", line.valid_loss),
        ("learning_rate", line.learning_rate),
    )
    data |= {name: value for name, value in named if value is not None}
    of = f"/{plan.steps}" if plan else ""
    losses = [
        f"{what} loss={value:.4f}"
        for what, value in (("training", line.train_loss), ("validation", line.valid_loss))
        if value is not None
    ]
    return Happening(f"Step {line.step}{of}: {', '.join(losses) or 'done'}", type="metrics", data=data)


def result_csv(lines: Iterable[Measured]) -> bytes:
    """The metrics of a run, a row a step."""
    rows: dict[int, dict[str, Any]] = {}
    for line in lines:
        row = rows.setdefault(line.step, {"step": line.step})
        named = (("train_loss", line.train_loss), ("valid_loss", line.valid_loss))
        row |= {name: value for name, value in named if value is not None}
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows[step] for step in sorted(rows))
    return text.getvalue().encode()
