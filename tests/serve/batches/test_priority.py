"""Batches take what clients leave: measured by what the engine sees, in counts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import openai
import pytest
from fixtures.batch_house import BatchHouse, over, some, start_batch
from fixtures.house import answer_three
from fixtures.stub_engine import Call, StubEngine
from fixtures.tuning_house import until
from sqlalchemy import Connection

from freehold.serve.adapters.status import AdapterPhase, AdapterStatus
from freehold.serve.batches.capacity import Capacity
from freehold.serve.config import BatchesConfig, Route
from freehold.serve.engines.engine import EngineState
from freehold.serve.gateway.metrics import GatewayMetrics
from freehold.serve.gateway.routing import RouteTable
from freehold.serve.state.loads import Load, loads_elsewhere

pytestmark = pytest.mark.slow


class Desk:
    """The engine's view: who is at it, batch lines and clients apart."""

    def __init__(self, house: BatchHouse, line_s: float = 0.0) -> None:
        self.lines = 0
        """At the engine now."""
        self.most_lines = 0
        self.begun = 0
        """Lines that ever came."""
        self.before_clients: list[int] = []
        """Lines at the engine, at the arrival of each client."""
        self.let_clients_go = asyncio.Event()
        self.let_lines_go = asyncio.Event()
        self.let_lines_go.set()
        self._line_s = line_s
        house.tiny.answer = self.answer

    async def answer(self, call: Call) -> None:
        if call.json["messages"][0]["content"] == "client":
            self.before_clients.append(self.lines)
            await self.let_clients_go.wait()
            await answer_three(call)
            return
        self.begun += 1
        self.lines += 1
        self.most_lines = max(self.most_lines, self.lines)
        await self.let_lines_go.wait()
        await asyncio.sleep(self._line_s)
        self.lines -= 1
        await answer_three(call)


async def ask(client: openai.AsyncOpenAI, **more: Any) -> None:
    messages: Any = [{"role": "user", "content": "client"}]
    await client.chat.completions.create(model="tiny", max_tokens=5, messages=messages, **more)


async def running(client: openai.AsyncOpenAI, batch_id: str) -> None:
    async def is_running() -> bool:
        return (await client.batches.retrieve(batch_id)).status == "in_progress"

    await until(is_running)


@pytest.mark.parametrize(
    ("house", "yields"),
    [
        ({"batches": {"yieldAbove": 0}}, True),
        ({"batches": {"yieldAbove": 9, "yieldWaiting": 0}}, True),
        ({"batches": {"yieldAbove": 9, "yieldWaiting": 9}}, False),
    ],
    indirect=["house"],
    ids=["in-flight", "waiting", "neither"],
)
async def test_no_line_starts_while_clients_want_the_model(house: BatchHouse, yields: bool) -> None:
    desk = Desk(house)
    client = await house.client()
    asking = asyncio.create_task(ask(client))

    async def has_come() -> bool:
        return bool(desk.before_clients)

    await until(has_come)
    batch = await start_batch(client, some(6))
    if yields:
        await running(client, batch.id)
        for _ in range(10):  # as many looks as it would take to start all of them
            await asyncio.sleep(0.1)
            assert desk.begun == 0, "a line went before a client"
    else:
        assert (await over(client, batch.id)).request_counts.completed == 6, "the client alone holds nothing up"
        assert not asking.done()
    desk.let_clients_go.set()
    await asking
    assert (await over(client, batch.id)).request_counts.completed == 6
    assert desk.begun == 6


@pytest.mark.parametrize(
    ("house", "most"),
    [({"batches": {"concurrency": 2}}, 2), ({"batches": {"concurrency": 40, "yieldWaiting": 9}}, 40)],
    indirect=["house"],
    ids=["two", "control"],
)
async def test_a_client_has_never_more_lines_before_it_than_there_are_places(house: BatchHouse, most: int) -> None:
    desk = Desk(house, line_s=0.02)
    desk.let_clients_go.set()
    desk.let_lines_go.clear()
    client = await house.client()
    batches = [await start_batch(client, some(40)) for _ in range(2)]

    async def are_full() -> bool:
        return desk.lines == most

    await until(are_full)
    await asyncio.gather(*(ask(client) for _ in range(5)))
    assert desk.before_clients == [most] * 5, "the measure sees lines that are before a client"
    desk.let_lines_go.set()
    for _ in range(25):
        await ask(client)
    assert max(desk.before_clients) <= most
    for batch in batches:
        assert (await over(client, batch.id)).request_counts.completed == 40
    assert desk.most_lines == most, "two batches share the places"


async def test_lines_of_one_model_do_not_wait_for_clients_of_another(house: BatchHouse) -> None:
    desk = Desk(house)
    client = await house.client()
    asking = asyncio.create_task(ask(client))

    async def has_come() -> bool:
        return bool(desk.before_clients)

    await until(has_come)
    batch = await start_batch(client, some(3) + some(3, "other").replace(b"line-", b"second-"))

    async def is_answered() -> bool:
        return len(house.engines["other"].calls) == 3

    await until(is_answered)
    assert desk.begun == 0
    desk.let_clients_go.set()
    await asking
    assert (await over(client, batch.id)).request_counts.completed == 6


async def test_a_model_that_is_not_ready_is_waited_for(house: BatchHouse) -> None:
    house.tiny.state = EngineState.STARTING
    client = await house.client()
    batch = await start_batch(client, some(3))
    await running(client, batch.id)
    await asyncio.sleep(0.3)
    assert house.tiny.calls == []
    house.tiny.state = EngineState.READY
    assert (await over(client, batch.id)).request_counts.completed == 3


async def test_a_model_that_sleeps_is_asked_which_wakes_it(house: BatchHouse) -> None:
    config = BatchesConfig()
    house.tiny.state = EngineState.ASLEEP
    capacity = Capacity(house.engines, RouteTable(house.engines), GatewayMetrics(house.engines), config)
    async with capacity.place("tiny", asyncio.Event()) as is_given:
        assert is_given
    house.tiny.state = EngineState.FAILED
    stopping = asyncio.Event()
    asyncio.get_running_loop().call_later(0.2, stopping.set)
    async with capacity.place("tiny", stopping) as is_given:
        assert not is_given


def test_a_route_needs_room_wherever_it_may_lead() -> None:
    engines = {name: StubEngine(name, answer_three) for name in ("a", "b", "c", "d", "tuned")}
    engines["tuned"].adapter = AdapterStatus("a", "artifact", AdapterPhase.READY)
    council = {"agents": {"a": 1, "b": 2}, "judge": "d"}
    routes = {
        "split": Route.model_validate({"targets": {"a": 1, "b": 1}, "fallback": "c"}),
        "canary": Route.model_validate({"targets": {"tuned": 1}, "canary": {"target": "d", "percent": 5}}),
        "council": Route.model_validate({"contemplate": council}),
    }
    table = RouteTable(engines, routes)
    capacity = Capacity(engines, table, GatewayMetrics(engines), BatchesConfig())
    found = {name: sorted(capacity.workers(name)) for name in (*routes, "tuned", "b", "gone")}
    assert found == {
        "split": ["a", "b", "c"],
        "canary": ["a", "d"],
        "council": ["a", "b", "d"],
        "tuned": ["a"],
        "b": ["b"],
        "gone": ["gone"],
    }


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[tuple[BatchHouse, BatchHouse, AsyncExitStack]]:
    """Two gateways of one deployment; the first leaves batches to the second, which is not started."""
    url = f"sqlite:///{tmp_path / 'gateway.db'}"
    async with AsyncExitStack() as stack:
        first = BatchHouse(url, batches={"concurrentBatches": 0})
        await first.open(stack)
        second = BatchHouse(url, first.tiny.base_url)
        yield first, second, stack
    first.database.close()
    second.database.close()


def loads(connection: Connection) -> dict[str, Load]:
    """What gateways have told of models that somebody wants."""
    return {model: load for model, load in loads_elsewhere(connection, "nobody").items() if load.in_flight}


@pytest.mark.parametrize("is_busy", [True, False])
async def test_clients_of_another_gateway_count_too(
    two: tuple[BatchHouse, BatchHouse, AsyncExitStack], is_busy: bool
) -> None:
    first, second, stack = two
    desk = Desk(first)
    client = await first.client()
    asking = asyncio.create_task(ask(client)) if is_busy else None
    batch = await start_batch(client, some(4))

    async def is_told() -> bool:
        return await first.database.run(loads) == ({"tiny": Load(1, 1)} if is_busy else {})

    await until(is_told)
    await second.open(stack)
    if asking is not None:
        await running(client, batch.id)
        for _ in range(10):
            await asyncio.sleep(0.1)
            assert desk.begun == 0
        desk.let_clients_go.set()
        await asking
    assert (await over(client, batch.id)).request_counts.completed == 4
