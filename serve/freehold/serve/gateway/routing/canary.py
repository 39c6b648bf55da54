"""Judges a newcomer by its own requests against those of the route's targets, and takes its traffic away."""

import logging
import statistics
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import NamedTuple

from freehold.serve.config import Canary

log = logging.getLogger("freehold.gateway")

_KEPT = 2000
"""Observations of each side: enough for a window of a busy route, and bounded."""


class _Observation(NamedTuple):
    at: float
    failed: bool
    first_byte_s: float


class CanaryTrial:
    """One route's newcomer in this process. A verdict is final until the gateway starts again."""

    def __init__(
        self,
        route: str,
        config: Canary,
        clock: Callable[[], float] = monotonic,
        on_rollback: Callable[[str], object] = str,
    ) -> None:
        self.config = config
        self.verdict = ""
        """Why it was rolled back; empty while it is on trial."""
        self._route = route
        self._clock = clock
        self._on_rollback = on_rollback
        self._newcomer: deque[_Observation] = deque(maxlen=_KEPT)
        self._others: deque[_Observation] = deque(maxlen=_KEPT)

    @property
    def is_rolled_back(self) -> bool:
        return bool(self.verdict)

    def observe(self, target: str, *, failed: bool, first_byte_s: float) -> None:
        """How a request went: `failed` is a 5xx, a lost connection or a timeout, not a client's own mistake."""
        observation = _Observation(self._clock(), failed, first_byte_s)
        if target != self.config.target:
            self._others.append(observation)
            return
        self._newcomer.append(observation)
        if not self.verdict and (problem := self._problem()):
            self.verdict = problem
            log.warning("Route %s: canary %s rolled back: %s", self._route, target, problem)
            self._on_rollback(problem)

    def _problem(self) -> str:
        newcomer, others = self._recent(self._newcomer), self._recent(self._others)
        if len(newcomer) < self.config.min_requests:
            return ""
        rate = sum(one.failed for one in newcomer) / len(newcomer)
        if rate > self.config.max_error_rate:
            return f"{rate:.1%} of its last {len(newcomer)} requests failed, allowed {self.config.max_error_rate:.1%}"
        mine = [one.first_byte_s for one in newcomer if not one.failed]
        theirs = [one.first_byte_s for one in others if not one.failed]
        if len(theirs) < self.config.min_requests or not mine:
            return ""
        ratio = statistics.median(mine) / max(statistics.median(theirs), 1e-6)
        if ratio > self.config.max_latency_ratio:
            allowed = self.config.max_latency_ratio
            return f"its median time to the first byte is {ratio:.2f} times the others', allowed {allowed}"
        return ""

    def _recent(self, observations: deque[_Observation]) -> list[_Observation]:
        oldest = self._clock() - self.config.window_s
        while observations and observations[0].at < oldest:
            observations.popleft()
        return list(observations)
