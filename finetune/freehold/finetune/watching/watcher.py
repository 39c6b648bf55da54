"""The trainer's eyes: turns its events into metrics, the bar, the report and answers."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from freehold.core.chart.png import draw_png
from freehold.core.errors import UserError
from freehold.core.quiet import quiet_libraries
from freehold.finetune.watching.bar import StepBar
from freehold.finetune.watching.metrics import Metrics
from freehold.finetune.watching.report import loss_lines, write_report
from freehold.finetune.watching.samples import Sample, Sampler

REDRAW_S = 5.0


@dataclass
class Watcher(TrainerCallback):  # type: ignore[misc]  # transformers is Any to mypy
    """Writes `metrics.jsonl`, `report.html` and `loss.png`, and shows the bar. For the first worker alone."""

    metrics: Metrics
    report: Path
    plot: Path
    title: str
    facts: Mapping[str, Any]
    sampler: Sampler | None = None
    samples: list[Sample] = field(default_factory=list)
    bar: StepBar | None = None
    tokens_per_s: float = 0.0
    _drawn_at: float = 0.0
    _mark: float = 0.0
    _training_s: float = 0.0
    _tokens: int = 0
    _tokens_before: int = 0

    # -- events of transformers.Trainer ------------------------------------------------------------------------------

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.metrics.rewind(state.global_step)
        self.bar = StepBar(state.max_steps, done=state.global_step)
        self._mark = time.monotonic()
        self.draw("running")

    def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        now = time.monotonic()
        self._training_s += now - self._mark
        self._mark = now
        seen = getattr(others["train_dataloader"].collate_fn, "tokens_seen", 0)
        self._tokens += seen - self._tokens_before
        self._tokens_before = seen
        self.tokens_per_s = self._tokens / max(self._training_s, 1e-9)
        if self.bar:
            self.bar.advance(state.global_step, self.metrics.last("loss"), self.tokens_per_s)

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any], **_: Any) -> None:
        if "train_runtime" in logs:
            return  # Trainer's summary of the whole run
        numbers = {name: value for name, value in logs.items() if isinstance(value, int | float)}
        if not all(math.isfinite(numbers.get(name, 0.0)) for name in ("loss", "eval_loss")):
            raise UserError(
                f"Training diverged at step {state.global_step}",
                why="the loss is no number any more",
                next_step="Lower `training.learningRate`, and look at the data near that step; see report.html.",
            )
        line = {"step": state.global_step, **numbers}
        if "loss" in logs:
            line["tokens_per_s"] = round(self.tokens_per_s, 1)
        self.metrics.add(line)
        if time.monotonic() - self._drawn_at > REDRAW_S:
            self.draw("running")

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Mapping[str, Any], **others: Any) -> None:
        if self.bar and "eval_loss" in metrics:
            self.bar.say(f"Evaluation at step {state.global_step}: loss {metrics['eval_loss']:.4f}")
        if self.sampler and others.get("model") is not None:
            with quiet_libraries():
                last = state.global_step >= state.max_steps
                self.samples += self.sampler.ask(others["model"], state.global_step, anyway=last)
        self._resume_clock(others)

    def on_save(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        self._resume_clock(others)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.bar:
            self.bar.close()

    # -- pages -------------------------------------------------------------------------------------------------------

    def draw(self, state: str) -> None:
        """Write report and plot; `state` is `running`, or how it ended."""
        self._drawn_at = time.monotonic()
        facts = {**self.facts, "tokens/s": round(self.tokens_per_s)} if self.tokens_per_s else self.facts
        write_report(self.report, self.title, state, facts, self.metrics, self.samples)
        draw_png(loss_lines(self.metrics), self.plot)

    def _resume_clock(self, others: Mapping[str, Any]) -> None:
        """What evaluations and checkpoints take, and the tokens they read, is none of the training's speed."""
        self._mark = time.monotonic()
        loader = others.get("train_dataloader")
        self._tokens_before = getattr(loader.collate_fn, "tokens_seen", 0) if loader is not None else 0


def best_evaluation(metrics: Metrics) -> tuple[int, float] | None:
    """(step, loss) of the lowest evaluation loss."""
    found: Sequence[tuple[int, float]] = metrics.curve("eval_loss")
    return min(found, key=lambda point: point[1]) if found else None
