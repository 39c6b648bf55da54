"""Steps on stderr: a bar with loss, tokens per second and time left; elsewhere a line every ten seconds."""

import sys
import time
from typing import Any, TextIO

from freehold.core.progress import PLAIN_INTERVAL_S


class StepBar:
    """Shows the steps of one training; `done` steps of `total` were done by an earlier process."""

    def __init__(self, total: int, *, done: int = 0, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._total = total
        self._done = self._first = done
        self._started = self._last_line = time.monotonic()
        self._rich: Any = _rich_bar(total, done) if self._stream.isatty() else None

    def advance(self, step: int, loss: float | None, tokens_per_s: float) -> None:
        """Tell where the training is; `loss` None where no new one is known."""
        self._done = step
        said = " · ".join(
            part for part in ("" if loss is None else f"loss {loss:.4f}", f"{tokens_per_s:.0f} tokens/s") if part
        )
        if self._rich:
            self._rich.update(0, completed=step, said=said)
        elif time.monotonic() - self._last_line > PLAIN_INTERVAL_S or step == self._total:
            self._last_line = time.monotonic()
            self._line(f"Training: step {step} of {self._total}, {said}, {self.left_s():.0f} s left")

    def left_s(self) -> float:
        """Seconds that the remaining steps will take at the speed so far, evaluations included."""
        took = time.monotonic() - self._started
        return took / max(1, self._done - self._first) * (self._total - self._done)

    def say(self, text: str) -> None:
        """A line of its own above the bar."""
        if self._rich:
            self._rich.console.print(text, highlight=False, markup=False)
        else:
            self._line(text)

    def close(self) -> None:
        if self._rich:
            self._rich.stop()

    def _line(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


def _rich_bar(total: int, done: int) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("Training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[said]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    bar.add_task("training", total=total, completed=done, said="")
    bar.start()
    return bar
