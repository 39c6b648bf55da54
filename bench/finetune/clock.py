"""When each step ended, how many tokens it took, and the most memory that the process ever held."""

import json
import resource
import time
from pathlib import Path
from typing import Any

from bench.finetune.work import Work


class Clock:
    """Told of every optimizer step by whoever trains."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._steps: list[tuple[float, int]] = []
        self._losses: list[float] = []

    def tick(self, tokens: int, loss: float | None = None) -> None:
        """An optimizer step ended, after `tokens` tokens in all, without padding."""
        self._steps.append((time.perf_counter(), tokens))
        if loss is not None:
            self._losses.append(loss)

    def write(self, path: Path) -> None:
        first_at, first_tokens = self._steps[self._work.warm_up - 1]
        last_at, last_tokens = self._steps[-1]
        result: dict[str, Any] = {
            "tokens_per_s": (last_tokens - first_tokens) / (last_at - first_at),
            "tokens": last_tokens - first_tokens,
            "steps": len(self._steps),
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "first_loss": self._losses[0] if self._losses else None,
            "last_loss": self._losses[-1] if self._losses else None,
        }
        path.write_text(json.dumps(result))
