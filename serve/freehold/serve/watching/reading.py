"""What the gateway's own metrics say at one moment, model by model, out of Prometheus's text."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

FIRST_FAULT = 500
"""Statuses from here on are ours or the engine's; those below are the client's."""


@dataclass
class Buckets:
    """A histogram: how many observations were at most so much, cumulative."""

    bounds: list[float] = field(default_factory=list)
    counts: list[float] = field(default_factory=list)


@dataclass
class Reading:
    """One model's numbers since its gateway began, but for those that are a state."""

    in_flight: float = 0.0
    """Now."""
    waiting: float = 0.0
    """Now: an engine has it and has not begun to answer, or it waits for one to wake."""
    requests: float = 0.0
    errors: float = 0.0
    """Answered with 500 and above, or broken off by the engine."""
    prompt_tokens: float = 0.0
    completion_tokens: float = 0.0
    ttft: Buckets = field(default_factory=Buckets)
    inter_token: Buckets = field(default_factory=Buckets)


def read_gateway(text: str) -> dict[str, Reading]:
    """Readings by model. Requests for names that no engine has are not among them."""
    found: dict[str, Reading] = {}
    for metric in text_string_to_metric_families(text):
        for model, name, labels, value in _samples(metric):
            _take(found.setdefault(model, Reading()), name, labels, value)
    return found


def _samples(metric: Metric) -> Iterator[tuple[str, str, dict[str, str], float]]:
    if not metric.name.startswith("freehold_"):
        return
    for sample in metric.samples:
        model = sample.labels.get("model")
        if model:
            yield model, sample.name.removeprefix("freehold_"), sample.labels, sample.value


def _take(reading: Reading, name: str, labels: dict[str, str], value: float) -> None:
    match name:
        case "requests_in_flight":
            reading.in_flight = value
        case "requests_waiting" | "requests_held":
            reading.waiting += value
        case "requests_total":
            reading.requests += value
            reading.errors += value if int(labels["status"]) >= FIRST_FAULT else 0.0
        case "broken_answers_total":
            reading.errors += value
        case "prompt_tokens_total":
            reading.prompt_tokens = value
        case "completion_tokens_total":
            reading.completion_tokens = value
        case "time_to_first_token_seconds_bucket":
            _add(reading.ttft, labels["le"], value)
        case "inter_token_latency_seconds_bucket":
            _add(reading.inter_token, labels["le"], value)


def _add(buckets: Buckets, bound: str, count: float) -> None:
    buckets.bounds.append(float(bound))
    buckets.counts.append(count)


def quantile(before: Buckets, after: Buckets, share: float) -> float | None:
    """The value that this share of the observations between two readings does not exceed, seconds.

    Inside a bucket it is interpolated, as Prometheus's `histogram_quantile` does; beyond the last bound that bound is
    told. None where nothing was observed.
    """
    counts = [now - then for now, then in zip(after.counts, before.counts or [0.0] * len(after.counts), strict=True)]
    if not counts or counts[-1] <= 0:
        return None
    rank = share * counts[-1]
    index = next(place for place, count in enumerate(counts) if count >= rank)
    if index == len(counts) - 1:
        return after.bounds[index - 1] if index else None
    low, below = (after.bounds[index - 1], counts[index - 1]) if index else (0.0, 0.0)
    return low + (after.bounds[index] - low) * (rank - below) / (counts[index] - below)
