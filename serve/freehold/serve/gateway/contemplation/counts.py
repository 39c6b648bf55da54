"""How contemplations end."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector


class Counts(Collector):
    """By route and outcome; nothing while no route contemplates."""

    def __init__(self) -> None:
        self._ended: dict[tuple[str, str], int] = {}

    def count(self, route: str, outcome: str) -> None:
        """One is over."""
        self._ended[route, outcome] = self._ended.get((route, outcome), 0) + 1

    def collect(self) -> Iterator[Metric]:
        if not self._ended:
            return
        family = CounterMetricFamily(
            "freehold_contemplations",
            "Requests that several models answered together, by how they ended.",
            labels=("route", "outcome"),
        )
        for labels, count in self._ended.items():
            family.add_metric(labels, count)
        yield family
