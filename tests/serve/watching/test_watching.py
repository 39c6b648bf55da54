"""The short memory of the gateway's metrics: what is read, what follows of it, and what is not known."""

import asyncio
import time
from collections.abc import Mapping
from types import SimpleNamespace

import pytest
from fixtures.console import VLLM_METRICS, answer_as_vllm
from fixtures.stub_engine import Call, StubEngine

from freehold.serve.admin.overview import series
from freehold.serve.engines.engine import Engine, EngineState
from freehold.serve.gateway.metrics import GatewayMetrics
from freehold.serve.gateway.usage import Usage
from freehold.serve.watching import watch as watch_module
from freehold.serve.watching.engines import EngineReading, parse_engine, read_engines
from freehold.serve.watching.gpus import parse_gpu
from freehold.serve.watching.reading import Buckets, Reading, quantile, read_gateway
from freehold.serve.watching.series import INTERVAL_S, KEPT, Memory, Moment
from freehold.serve.watching.watch import Watch


def test_what_the_gateway_counts_is_read_back() -> None:
    metrics = GatewayMetrics({})
    model = metrics.of("tiny")
    model.in_flight, model.waiting, model.broken_answers = 3, 2, 1
    for status in (200, 200, 404, 503):
        model.count_request("/v1/chat/completions", status)
    model.count_tokens(Usage(prompt=10, completion=4))
    model.ttft.observe(0.2)
    metrics.of("").count_request("/v1/chat/completions", 404)
    found = read_gateway(metrics.render().decode())
    assert found.keys() == {"tiny"}
    reading = found["tiny"]
    assert (reading.in_flight, reading.waiting, reading.requests, reading.errors) == (3, 2, 4, 2)
    assert (reading.prompt_tokens, reading.completion_tokens) == (10, 4)
    value = quantile(Buckets(), reading.ttft, 0.5)
    assert value is not None and 0.1 < value <= 0.25


BOUNDS = [0.1, 0.2, 0.4, float("inf")]


@pytest.mark.parametrize(
    ("before", "after", "share", "value"),
    [
        ([], [0, 4, 4, 4], 0.5, 0.15),
        ([0, 4, 4, 4], [0, 4, 8, 8], 0.5, 0.3),
        ([], [2, 2, 2, 2], 0.5, 0.05),
        ([], [0, 0, 0, 5], 0.95, 0.4),
        ([1, 2, 3, 4], [1, 2, 3, 4], 0.5, None),
        ([], [], 0.5, None),
    ],
)
def test_a_quantile_is_that_of_what_came_between(
    before: list[float], after: list[float], share: float, value: float | None
) -> None:
    found = quantile(Buckets(BOUNDS[: len(before)], before), Buckets(BOUNDS[: len(after)], after), share)
    assert found == (None if value is None else pytest.approx(value))


def moment(at: float, requests: float, in_flight: float = 0.0) -> Moment:
    return Moment(at, {"tiny": Reading(in_flight=in_flight, requests=requests, completion_tokens=requests * 10)}, {})


def test_rates_are_those_between_two_readings() -> None:
    memory = Memory()
    memory.add(moment(1000, 100, in_flight=2))
    first = memory.points[-1].figures["tiny"]
    assert (first.in_flight, first.requests_per_s) == (2, None), "one reading tells no rate"
    memory.add(moment(1005, 110))
    assert memory.points[-1].figures["tiny"].requests_per_s == 2.0
    assert memory.recent("tiny").completion_tokens_per_s == 20.0
    assert memory.recent("unknown").requests_per_s == 0.0


def test_a_gateway_that_began_anew_is_no_negative_rate() -> None:
    memory = Memory()
    memory.add(moment(1000, 100))
    memory.add(moment(1005, 10))
    assert memory.points[-1].figures["tiny"].requests_per_s == 2.0


def test_a_pause_is_a_gap_and_its_requests_belong_to_no_interval() -> None:
    memory = Memory()
    for at, requests in ((1000, 0), (1005, 10), (1100, 1000), (1105, 1010)):
        memory.add(moment(at, requests))
    shown = series(memory, ["tiny"])
    assert shown.at == [1000, 1005, 1005 + INTERVAL_S, 1100, 1105]
    assert shown.models["tiny"]["requests_per_s"] == [None, 2.0, None, None, 2.0]
    assert shown.models["tiny"]["in_flight"] == [0, 0, None, 0, 0]
    assert memory.recent("tiny").requests_per_s == 2.0


def test_the_memory_is_short() -> None:
    memory = Memory()
    for number in range(KEPT + 50):
        memory.add(moment(number * INTERVAL_S, number))
    assert len(memory.points) == KEPT


def test_vllms_numbers_are_added_over_its_ranks() -> None:
    assert parse_engine(VLLM_METRICS) == EngineReading(3.0, 2.0, 0.375)
    two = VLLM_METRICS + VLLM_METRICS.replace('engine="0"', 'engine="1"').replace("0.375", "0.5")
    assert parse_engine(two) == EngineReading(6.0, 4.0, 0.5)
    for torn in ("", "vllm:num_requests_running 1", VLLM_METRICS.replace("0.375", "many"), "{}"):
        assert parse_engine(torn) is None


async def test_only_engines_of_the_house_that_are_ready_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freehold.serve.watching.engines.TIMEOUT_S", 60.0)

    async def silent(call: Call) -> None:
        call.die()

    answers = {"tiny": answer_as_vllm, "dead": silent, "starting": answer_as_vllm, "closed": answer_as_vllm}
    stubs = {name: StubEngine(name, answer) for name, answer in answers.items()}
    stubs["starting"].state, stubs["closed"].leaves = EngineState.STARTING, True
    async with (
        stubs["tiny"].listening(),
        stubs["dead"].listening(),
        stubs["starting"].listening(),
        stubs["closed"].listening(),
    ):
        engines: Mapping[str, Engine] = {**stubs}
        assert await read_engines(engines) == {"tiny": EngineReading(3.0, 2.0, 0.375)}
    assert stubs["starting"].calls == stubs["closed"].calls == []


def test_a_line_of_nvidia_smi() -> None:
    gpu = parse_gpu("0, NVIDIA H100 80GB HBM3, 63000, 81559, 87")
    assert gpu is not None
    assert (gpu.name, gpu.used_bytes, gpu.total_bytes, gpu.utilization) == (
        "NVIDIA H100 80GB HBM3",
        63000 * 2**20,
        81559 * 2**20,
        0.87,
    )
    partitioned = parse_gpu("1, NVIDIA H100, 1, 2, [N/A]")
    assert partitioned is not None and partitioned.utilization is None
    assert parse_gpu("Failed to initialize NVML") is None
    assert parse_gpu("0, NVIDIA GB10, [N/A], [N/A], 3") is None


async def test_watching_begins_with_the_first_look_and_ends_when_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(watch_module, "time", SimpleNamespace(monotonic=lambda: clock[0], time=time.time))
    monkeypatch.setattr(watch_module, "INTERVAL_S", 0.01)
    monkeypatch.setattr(watch_module, "PATIENCE_S", 3.5)
    asked = 0

    async def source() -> bytes:
        nonlocal asked
        asked += 1
        clock[0] += 1
        return GatewayMetrics({}).render()

    watch = Watch({})
    watch.source = source
    await asyncio.sleep(0.05)
    assert asked == 0, "an unwatched gateway does nothing"
    await watch.look()
    task = watch._task
    assert task is not None
    await asyncio.wait_for(task, 60)
    assert asked == 4, "one at the look, and one for each second until there is no patience left"
    monkeypatch.setattr(watch_module, "INTERVAL_S", 3600.0)
    await asyncio.gather(watch.look(), watch.look())
    assert asked == 5, "two who look at once begin one watch"
    await watch.close()
