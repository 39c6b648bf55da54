"""What several workers say of themselves, as one."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from freehold.serve.workers.merging import merge


def worker(requests: int, took_s: float, in_flight: int, *, ready: bool = True, rolled_back: bool = False) -> str:
    """What a worker says that has served so many requests of one model."""
    registry = CollectorRegistry()
    Counter("freehold_requests", "Requests.", ["model", "status"], registry=registry).labels("tiny", "200").inc(
        requests
    )
    histogram = Histogram("freehold_seconds", "Time.", ["model"], buckets=(1, 2), registry=registry)
    histogram.labels("tiny").observe(took_s)
    for name, value in (
        ("freehold_requests_in_flight", in_flight),
        ("freehold_engine_ready", ready),
        ("freehold_canary_rolled_back", rolled_back),
        ("process_start_time_seconds", 1000 + requests),
        ("process_resident_memory_bytes", 4096),
    ):
        Gauge(name, "A gauge.", registry=registry).set(value)
    return generate_latest(registry).decode()


def lines(text: bytes) -> dict[str, float]:
    """Series and their values."""
    rows = (line.rpartition(" ") for line in text.decode().splitlines() if not line.startswith("#"))
    return {series: float(value) for series, _, value in rows if "_created" not in series}


def test_counts_are_added_and_states_are_not() -> None:
    one = worker(5, 0.5, 1, rolled_back=True)
    other = worker(7, 1.5, 2, ready=False)
    assert lines(merge([one, other]).render()) == {
        'freehold_requests_total{model="tiny",status="200"}': 12,
        'freehold_seconds_bucket{le="1.0",model="tiny"}': 1,
        'freehold_seconds_bucket{le="2.0",model="tiny"}': 2,
        'freehold_seconds_bucket{le="+Inf",model="tiny"}': 2,
        'freehold_seconds_count{model="tiny"}': 2,
        'freehold_seconds_sum{model="tiny"}': 2,
        "freehold_requests_in_flight": 3,
        "freehold_engine_ready": 0,
        "freehold_canary_rolled_back": 1,
        "process_start_time_seconds": 1005,
        "process_resident_memory_bytes": 8192,
    }


def test_a_process_that_has_ended_counts_with_what_it_did() -> None:
    merged = lines(merge([worker(5, 0.5, 1)], [worker(7, 0.5, 2, ready=False)]).render())
    assert merged['freehold_requests_total{model="tiny",status="200"}'] == 12
    assert merged['freehold_seconds_sum{model="tiny"}'] == 1
    assert merged["freehold_requests_in_flight"] == 1
    assert merged["freehold_engine_ready"] == 1


def test_series_that_one_worker_alone_has_are_kept() -> None:
    text = '# TYPE a counter\na_total{path="x \\"y\\""} 1.0\n'
    merged = merge([text, '# TYPE a counter\na_total{path="z"} 2.0\n']).render()
    assert lines(merged) == {'a_total{path="x \\"y\\""}': 1, 'a_total{path="z"}': 2}


def test_the_sum_reads_like_its_parts() -> None:
    one = worker(5, 0.5, 1)
    assert merge([one]).render().decode() == one
