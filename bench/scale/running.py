"""Runs of scenes, each in a process of its own, side by side."""

import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from bench.scale.cluster import Cluster, Scene
from bench.scale.policies import MakePolicy
from bench.scale.scaling import Day, Rules, ScaledCluster
from bench.scale.seen import Seen


@dataclass(frozen=True)
class Run:
    """One simulation. With `rules`, engines come and go."""

    scene: Scene
    policy: MakePolicy
    seed: int
    rules: Rules | None = None
    day: Day | None = None


@dataclass(frozen=True)
class Outcome:
    """What one run came to."""

    seen: Seen
    engine_hours: float = 0.0
    held: int = 0


def outcomes(runs: Sequence[Run], workers: int, title: str) -> list[Outcome]:
    """In the order of the runs; progress goes to stderr."""
    found: list[Outcome] = []
    begun = time.monotonic()
    with ProcessPoolExecutor(workers) as pool:
        for outcome in pool.map(simulated, runs):
            found.append(outcome)
            print(f"\r{title}: {len(found)} of {len(runs)}, {time.monotonic() - begun:.0f} s", end="", file=sys.stderr)
    print(file=sys.stderr)
    return found


def simulated(run: Run) -> Outcome:
    """The same for the same run, wherever and however often it is made."""
    if run.rules is None or run.day is None:
        return Outcome(Cluster(run.scene, run.policy, run.seed).run())
    cluster = ScaledCluster(run.scene, run.policy, run.seed, run.rules, run.day)
    seen = cluster.run()
    return Outcome(seen, cluster.engine_s / 3600, cluster.held)
