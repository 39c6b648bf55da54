"""What operations watch of the services beside the relay: is the database there, and is anything lost or late."""

from collections.abc import Iterator
from dataclasses import asdict

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from freehold.serve.gateway.services import Services


class ServiceMetrics(Collector):
    """Read from the services when somebody scrapes."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> Iterator[Metric]:
        services = self._services
        if services.keyring is not None:
            text = "1 if the last look for changed keys succeeded; else keys are as they were."
            yield GaugeMetricFamily("freehold_keys_current", text, value=float(services.keyring.is_current))
        if services.quotas is not None:
            text = "1 while the database is away and this process keeps limits for itself."
            yield GaugeMetricFamily("freehold_limits_alone", text, value=float(services.quotas.is_away))
        if services.ledger is not None:
            text = "1 while usage is spooled that the database does not take."
            yield GaugeMetricFamily("freehold_usage_behind", text, value=float(services.ledger.is_behind))
            text = "Requests whose usage the disk did not take: it is held in memory until the database has it."
            yield CounterMetricFamily("freehold_usage_unspooled", text, value=services.ledger.unwritten_entries)
            text = "Lines of the spool that a crash has torn."
            yield CounterMetricFamily("freehold_usage_unreadable", text, value=services.ledger.unreadable_lines)
        if services.recorder is not None:
            family = CounterMetricFamily(
                "freehold_records", "Recorded exchanges: written, or why they were dropped.", labels=("result",)
            )
            for result, count in asdict(services.recorder.counts).items():
                family.add_metric((result,), count)
            yield family
