"""Adds up what several processes say of themselves in Prometheus's text format."""

from collections.abc import Iterable, Iterator

from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

LOWEST = {"freehold_engine_ready", "freehold_keys_current", "process_start_time_seconds"}
"""Gauges of which the least counts: an engine is ready when it is so for every worker."""
HIGHEST = {"freehold_canary_rolled_back", "freehold_limits_alone", "freehold_usage_behind"}
"""Gauges of which the greatest counts: one worker's trouble is the gateway's, and each judges canaries by itself."""
ACCUMULATING = {"counter", "histogram", "summary"}
"""Kinds of which a process that has ended still counts."""

_Series = tuple[str, tuple[tuple[str, str], ...]]


class Families(Collector):
    """Metrics by name: the sum of all that was added."""

    def __init__(self) -> None:
        self._metrics: dict[str, Metric] = {}
        self._values: dict[str, dict[_Series, float]] = {}

    def add(self, text: str, *, has_ended: bool = False) -> None:
        """Add what a process said; of one that `has_ended`, what it has done, not what it was doing."""
        for metric in text_string_to_metric_families(text):
            if not has_ended or metric.type in ACCUMULATING:
                self.add_metric(metric)

    def add_metric(self, metric: Metric) -> None:
        known = self._metrics.setdefault(metric.name, Metric(metric.name, metric.documentation, metric.type))
        values = self._values.setdefault(known.name, {})
        for sample in metric.samples:
            series = (sample.name, tuple(sample.labels.items()))
            before = values.get(series)
            values[series] = sample.value if before is None else _together(metric.name, before, sample.value)

    def collect(self) -> Iterator[Metric]:
        for name, metric in self._metrics.items():
            metric.samples = []
            for (sample, labels), value in self._values[name].items():
                metric.add_sample(sample, dict(labels), value)
            yield metric

    def render(self) -> bytes:
        """The same text format."""
        return generate_latest(self)


def merge(living: Iterable[str], ended: Iterable[str] = ()) -> Families:
    """The sum of what living processes say and of what ended ones have said."""
    families = Families()
    for text in living:
        families.add(text)
    for text in ended:
        families.add(text, has_ended=True)
    return families


def _together(name: str, one: float, other: float) -> float:
    if name in LOWEST:
        return min(one, other)
    return max(one, other) if name in HIGHEST else one + other
