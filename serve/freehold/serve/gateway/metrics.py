"""What the gateway counts, in plain integers, and their rendering for Prometheus.

A prometheus_client counter costs a lock and a label lookup on each increment, about 1 µs, an observation on a histogram
twice that; these cost a tenth. They are only touched from the event loop, so they need no lock.

`freehold_requests_waiting` is the queue as a client feels it: requests that an engine has and that it has not begun to
answer. What the engine itself queues is among the engine's own metrics.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from freehold.serve.engines.engine import Engine, EngineState
from freehold.serve.gateway.routing.canary import CanaryTrial
from freehold.serve.gateway.usage import Usage

TTFT_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160)
INTER_TOKEN_BUCKETS_S = (0.0025, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2.5, 5)
DURATION_BUCKETS_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60, 120, 300, 600, 1800)

CLIENT_LEFT = 499
"""Status in `freehold_requests_total` of a request whose client left before the end (nginx's number)."""


class Histogram:
    """Counts per bucket, and the sum."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        self.counts[bisect_left(self.bounds, value)] += times
        self.sum += value * times

    def cumulative(self) -> list[tuple[str, float]]:
        """Prometheus's buckets: how many observations were at most so much."""
        total, buckets = 0, []
        for bound, count in zip((*map(str, map(float, self.bounds)), "+Inf"), self.counts, strict=True):
            total += count
            buckets.append((bound, float(total)))
        return buckets


class ModelMetrics:
    """One model's numbers."""

    __slots__ = (
        "background_in_flight",
        "background_waiting",
        "broken_answers",
        "completion_tokens",
        "duration",
        "in_flight",
        "inter_token",
        "prompt_tokens",
        "requests",
        "ttft",
        "unmetered_streams",
        "waiting",
    )

    def __init__(self) -> None:
        self.requests: dict[tuple[str, int], int] = {}
        self.in_flight = 0
        self.waiting = 0
        self.background_in_flight = 0
        """Of those in flight, lines of batches."""
        self.background_waiting = 0
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.unmetered_streams = 0
        self.broken_answers = 0
        self.ttft = Histogram(TTFT_BUCKETS_S)
        self.inter_token = Histogram(INTER_TOKEN_BUCKETS_S)
        self.duration = Histogram(DURATION_BUCKETS_S)

    def count_request(self, path: str, status: int) -> None:
        key = (path, status)
        self.requests[key] = self.requests.get(key, 0) + 1

    def count_tokens(self, usage: Usage) -> None:
        self.prompt_tokens += usage.prompt or 0
        self.completion_tokens += usage.completion or 0


class GatewayMetrics(Collector):
    """All models' numbers; requests for names that no engine has are counted under an empty model."""

    def __init__(self, engines: Mapping[str, Engine]) -> None:
        self._engines = engines
        self.trials: dict[str, CanaryTrial] = {}
        """By route."""
        self.held: dict[str, int] = {}
        """Requests that wait for a model to wake, by model; empty where nothing sleeps."""
        self._fallbacks: dict[tuple[str, str, str], int] = {}
        self._shadows: dict[tuple[str, str, str], int] = {}
        self._models: dict[str, ModelMetrics] = {}
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def add(self, collector: Collector) -> None:
        """Show these numbers too."""
        self._registry.register(collector)

    def of(self, model: str) -> ModelMetrics:
        """The numbers of a model that an engine has (or ""): a client's text must not become a label."""
        metrics = self._models.get(model)
        if metrics is None:
            metrics = self._models[model] = ModelMetrics()
        return metrics

    def count_fallback(self, route: str, model: str, reason: str) -> None:
        """A request went on to the next target, since this one did not answer."""
        key = (route, model, reason)
        self._fallbacks[key] = self._fallbacks.get(key, 0) + 1

    def count_shadow(self, route: str, model: str, result: str) -> None:
        """A copy was answered with a status, given up, or dropped."""
        key = (route, model, result)
        self._shadows[key] = self._shadows.get(key, 0) + 1

    def render(self) -> bytes:
        """Prometheus's text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        yield self._requests()
        yield from self._counters()
        yield from self._route_counters()
        yield from self._gauges()
        yield from self._histograms()

    def _requests(self) -> Metric:
        family = CounterMetricFamily(
            "freehold_requests",
            f"Requests by the status the client saw; {CLIENT_LEFT}: the client left before the end.",
            labels=("model", "path", "status"),
        )
        for model, metrics in self._models.items():
            for (path, status), count in metrics.requests.items():
                family.add_metric((model, path, str(status)), count)
        return family

    def _counters(self) -> Iterable[Metric]:
        rows = (
            ("prompt_tokens", "Prompt tokens, from the usage in answers."),
            ("completion_tokens", "Generated tokens, from the usage in answers."),
            ("unmetered_streams", "Streams that ended without usage: their tokens are in no counter."),
            ("broken_answers", "Answers that an engine began and did not finish."),
        )
        for name, text in rows:
            family = CounterMetricFamily(f"freehold_{name}", text, labels=("model",))
            for model, metrics in self._models.items():
                family.add_metric((model,), getattr(metrics, name))
            yield family

    def _route_counters(self) -> Iterable[Metric]:
        rows = (
            ("fallbacks", "Requests that went on to a route's next target.", "reason", self._fallbacks),
            (
                "shadow_requests",
                "Copies of requests for a candidate: a status, or why there is none.",
                "result",
                self._shadows,
            ),
        )
        for name, text, label, counts in rows:
            family = CounterMetricFamily(f"freehold_{name}", text, labels=("route", "model", label))
            for labels, count in counts.items():
                family.add_metric(labels, count)
            yield family

    def _gauges(self) -> Iterable[Metric]:
        in_flight = GaugeMetricFamily("freehold_requests_in_flight", "Requests being relayed.", labels=("model",))
        waiting = GaugeMetricFamily(
            "freehold_requests_waiting", "Requests that an engine has and has not begun to answer.", labels=("model",)
        )
        lines = GaugeMetricFamily("freehold_batch_lines_in_flight", "Of these, lines of batches.", labels=("model",))
        for model, metrics in self._models.items():
            in_flight.add_metric((model,), metrics.in_flight)
            waiting.add_metric((model,), metrics.waiting)
            lines.add_metric((model,), metrics.background_in_flight)
        held = GaugeMetricFamily(
            "freehold_requests_held", "Requests that wait until a replica of the model is ready.", labels=("model",)
        )
        for model, count in self.held.items():
            held.add_metric((model,), count)
        ready = GaugeMetricFamily("freehold_engine_ready", "1 if the engine takes requests.", labels=("model",))
        for model, engine in self._engines.items():
            if engine.state is EngineState.UNLOADED:
                continue  # as somebody wants it: no alert is due
            ready.add_metric((model,), float(engine.state is EngineState.READY))
        rolled_back = GaugeMetricFamily("freehold_canary_rolled_back", "1 if it was taken back.", labels=("route",))
        for route, trial in self.trials.items():
            rolled_back.add_metric((route,), float(trial.is_rolled_back))
        return (in_flight, waiting, lines, ready, rolled_back, *([held] if self.held else ()))

    def _histograms(self) -> Iterable[Metric]:
        rows = (
            ("ttft", "time_to_first_token_seconds", "From the request to the first bytes of a streamed answer."),
            ("inter_token", "inter_token_latency_seconds", "Between the events of a streamed answer."),
            ("duration", "request_duration_seconds", "From the request to the end of the answer."),
        )
        for attribute, name, text in rows:
            family = HistogramMetricFamily(f"freehold_{name}", text, labels=("model",))
            for model, metrics in self._models.items():
                histogram: Histogram = getattr(metrics, attribute)
                family.add_metric((model,), histogram.cumulative(), histogram.sum)
            yield family
