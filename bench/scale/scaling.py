"""Engines that come and go with the load, as the chart's KEDA autoscaling has them."""

import math
from collections import deque
from dataclasses import dataclass

from bench.scale.cluster import Cluster, Scene
from bench.scale.policies import MakePolicy
from bench.scale.users import Request

LOOK_S = 15.0
"""KEDA's pollingInterval, as the chart sets it."""
TOLERANCE = 0.1
"""Kubernetes' autoscaler does nothing while a ratio is this near to 1."""


@dataclass(frozen=True)
class Rules:
    """The chart's values of `autoscaling`, and what the chart fixes."""

    queue: float = 1.0
    kv_use: float = 0.8
    cooldown_s: float = 600.0
    fewest: int = 0
    most: int = 16
    up_s: float = 60.0
    """One more engine at most, each so many seconds."""
    down_s: float = 120.0
    start_s: float = 120.0
    """From the decision to an engine that answers."""


@dataclass(frozen=True)
class Day:
    """How many of the scene's users there are, by the hour: straight lines between the points."""

    points: tuple[tuple[float, float], ...]
    """Seconds, and share of the users."""

    def share(self, now: float) -> float:
        before = self.points[0]
        for point in self.points[1:]:
            if now < point[0]:
                part = (now - before[0]) / (point[0] - before[0])
                return before[1] + part * (point[1] - before[1])
            before = point
        return before[1]


class Autoscaler:
    """How many engines there should be: the HorizontalPodAutoscaler's formula, and KEDA's step from and to zero."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._wanted: deque[tuple[float, int]] = deque()
        self._up_at = self._down_at = -math.inf
        self._active_at = 0.0

    def engines(self, now: float, there: int, waiting: int, kv_use: float, busy: int) -> int:
        """`waiting` are held or in a queue, `busy` under way; `there` are those that start as well."""
        rules = self._rules
        if waiting or busy:
            self._active_at = now
        if not there:
            self._up_at = now
            return max(rules.fewest, 1 if waiting else 0)
        ratio = kv_use / rules.kv_use
        wanted = max(
            math.ceil(waiting / rules.queue), math.ceil(there * ratio) if abs(ratio - 1) > TOLERANCE else there
        )
        wanted = min(max(wanted, rules.fewest, 1), rules.most)
        self._wanted.append((now, wanted))
        while self._wanted[0][0] < now - rules.cooldown_s:
            self._wanted.popleft()
        if wanted > there and now - self._up_at >= rules.up_s:
            self._up_at = now
            return there + 1
        settled = max(each for _, each in self._wanted)
        if settled < there and now - self._down_at >= rules.down_s:
            self._down_at = now
            return there - 1
        is_idle = there == 1 and now - self._active_at >= rules.cooldown_s
        return 0 if is_idle and not rules.fewest else there


class ScaledCluster(Cluster):
    """A cluster whose engines an autoscaler starts and ends. A gateway holds requests while none is ready."""

    def __init__(self, scene: Scene, policy: MakePolicy, seed: int, rules: Rules, day: Day) -> None:
        super().__init__(scene, policy, seed)
        self.engine_s = 0.0
        """Time of all engines, from their start."""
        self.held = 0
        self._autoscaler = Autoscaler(rules)
        self._rules, self._day = rules, day
        self._ready = set(self.engines)
        self._starting: set[int] = set()
        self._waiting: list[Request] = []
        self._next = len(self.engines)
        self.at(LOOK_S, self._look, None)

    def share_of_users(self) -> float:
        return self._day.share(self.now)

    def send(self, request: Request) -> None:
        if self._ready:
            super().send(request)
        else:
            self._waiting.append(request)
            self.held += 1

    def _look(self, _: object) -> None:
        ready = [self.engines[number] for number in self._ready]
        there = len(ready) + len(self._starting)
        self.engine_s += LOOK_S * (there + sum(self.engines[each].count > 0 for each in self._leaving()))
        waiting = len(self._waiting) + sum(engine.queued for engine in ready)
        kv_use = sum(engine.kv_use for engine in ready) / len(ready) if ready else 0.0
        busy = len(self._waiting) + sum(engine.count for engine in ready)
        wanted = self._autoscaler.engines(self.now, there, waiting, kv_use, busy)
        for _ in range(wanted - there):
            self._starting.add(self._next)
            self.at(self.now + self._rules.start_s, self._started, self._next)
            self._next += 1
        if wanted < there:
            self._end_one()
        self.at(self.now + LOOK_S, self._look, None)

    def _leaving(self) -> set[int]:
        return self.engines.keys() - self._ready

    def _started(self, number: int) -> None:
        if number not in self._starting:
            return
        self._starting.discard(number)
        self.engines[number] = self.new_engine()
        self._ready.add(number)
        self._tell()
        held, self._waiting = self._waiting, []
        for request in held:
            self.send(request)

    def _end_one(self) -> None:
        """One that starts, if there is any; else the youngest. What runs there is answered (the pod drains)."""
        if self._starting:
            self._starting.discard(max(self._starting))
        else:
            self._ready.discard(max(self._ready))
            self._tell()

    def _tell(self) -> None:
        for gateway in self.gateways:
            gateway.change(sorted(self._ready))
