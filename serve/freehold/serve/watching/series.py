"""A short memory of readings: rates and latencies between one and the next, and gaps where none were taken."""

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from freehold.serve.watching.engines import EngineReading
from freehold.serve.watching.gpus import GpuReading
from freehold.serve.watching.reading import Buckets, Reading, quantile

INTERVAL_S = 5.0
KEPT = 180
"""Readings: a quarter of an hour."""
RECENT_S = 60.0
"""What "now" means for rates and latencies: a shorter time has too few requests in it."""
GAP = 2.5
"""More intervals than this between two readings are a gap."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What one model did between two readings. None is "not known", never zero."""

    in_flight: float = 0.0
    waiting: float = 0.0
    requests_per_s: float | None = None
    errors_per_s: float | None = None
    prompt_tokens_per_s: float | None = None
    completion_tokens_per_s: float | None = None
    ttft_p50_s: float | None = None
    ttft_p95_s: float | None = None
    inter_token_p50_s: float | None = None
    inter_token_p95_s: float | None = None
    engine_running: float | None = None
    engine_queued: float | None = None
    kv_usage: float | None = None


@dataclass
class Moment:
    """Everything that was read at one time."""

    at: float
    """Epoch seconds."""
    models: Mapping[str, Reading]
    engines: Mapping[str, EngineReading]
    gpus: list[GpuReading] = field(default_factory=list)


@dataclass(frozen=True)
class Point:
    """A moment as charts need it."""

    at: float
    figures: Mapping[str, Figures]
    """Of models that did anything."""
    gpus: list[GpuReading]


class Memory:
    """The last moments, and what happened between them."""

    def __init__(self) -> None:
        self.points: deque[Point] = deque(maxlen=KEPT)
        self._moments: deque[Moment] = deque(maxlen=int(RECENT_S / INTERVAL_S) + 1)

    @property
    def latest(self) -> Moment | None:
        return self._moments[-1] if self._moments else None

    def add(self, moment: Moment) -> None:
        """Take a reading. After a pause, what was counted meanwhile belongs to no interval that was watched."""
        before = self.latest
        if before is not None and moment.at - before.at > GAP * INTERVAL_S:
            before = None
            self._moments.clear()
        self._moments.append(moment)
        figures = {name: between(name, before, moment) for name in moment.models}
        self.points.append(Point(moment.at, figures, moment.gpus))

    def recent(self, model: str) -> Figures:
        """What the model did within the last minute, or since watching began."""
        latest = self.latest
        if latest is None:
            return Figures()
        first = self._moments[0] if len(self._moments) > 1 else None
        return between(model, first, latest)


_NOTHING = Reading()


def between(model: str, before: Moment | None, after: Moment) -> Figures:
    """A model's figures from one moment to another; states are those of the later one.

    Counters that went back are those of a gateway that began anew: what it counted since then is what is known.
    """
    now, engine = after.models.get(model, _NOTHING), after.engines.get(model)
    states = Figures(
        in_flight=now.in_flight,
        waiting=now.waiting,
        engine_running=None if engine is None else engine.running,
        engine_queued=None if engine is None else engine.queued,
        kv_usage=None if engine is None else engine.kv_usage,
    )
    if before is None or after.at <= before.at:
        return states
    then = before.models.get(model, _NOTHING)
    if now.requests < then.requests:
        then = _NOTHING
    elapsed_s = after.at - before.at

    def rate(name: str) -> float:
        more: float = getattr(now, name) - getattr(then, name)
        return max(0.0, more / elapsed_s)

    def latency(name: str, share: float) -> float | None:
        first: Buckets = getattr(then, name)
        return quantile(first, getattr(now, name), share)

    return Figures(
        **{name: value for name, value in asdict(states).items() if not name.endswith(("_per_s", "0_s", "5_s"))},
        requests_per_s=rate("requests"),
        errors_per_s=rate("errors"),
        prompt_tokens_per_s=rate("prompt_tokens"),
        completion_tokens_per_s=rate("completion_tokens"),
        ttft_p50_s=latency("ttft", 0.5),
        ttft_p95_s=latency("ttft", 0.95),
        inter_token_p50_s=latency("inter_token", 0.5),
        inter_token_p95_s=latency("inter_token", 0.95),
    )
