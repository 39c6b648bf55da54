"""What came of a run."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from bench.scale.users import Request


@dataclass
class Seen:
    """Of the requests that were sent after the warm-up and answered before the end."""

    first_s: list[float] = field(default_factory=list)
    """Time to first token of each."""
    answer_tokens: int = 0
    prompt_tokens: int = 0
    found_tokens: int = 0
    """Of prompts, in the caches of engines."""
    imbalances: list[float] = field(default_factory=list)
    """Requests of the engine that has most, over the mean, moment by moment."""
    swaps: int = 0
    """Adapters that were brought in, since the beginning."""
    unanswered: int = 0
    """Requests that were under way at the end."""

    def count(self, request: Request) -> None:
        self.first_s.append(request.first_s - request.since_s)
        self.prompt_tokens += request.prompt_tokens
        self.found_tokens += request.found_tokens
        self.answer_tokens += request.answer_tokens

    def sample(self, counts: Sequence[int]) -> None:
        """How many requests each engine has now."""
        if total := sum(counts):
            self.imbalances.append(max(counts) * len(counts) / total)

    @property
    def requests(self) -> int:
        return len(self.first_s)

    @property
    def hit_rate(self) -> float:
        return self.found_tokens / self.prompt_tokens

    @property
    def imbalance(self) -> float:
        return float(np.mean(self.imbalances))

    def first_ms(self, percent: float) -> float:
        """That percentile of the time to first token."""
        return float(np.percentile(self.first_s, percent)) * 1000

    def over(self, seconds: float) -> float:
        """Share of requests whose first token took longer."""
        return float(np.mean(np.array(self.first_s) > seconds))
