"""What models have to spare: whether a line of a batch may start now.

A line takes one of `batches.concurrency` places of its model, and no line starts while clients want the model more than
`batches.yieldAbove` and `batches.yieldWaiting` allow. Lines that run are not stopped for clients.

A model here is the hardware that answers: an adapter works on its model's, a route may lead to each of its targets.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

from freehold.serve.config import BatchesConfig
from freehold.serve.engines.engine import Engine, EngineState
from freehold.serve.gateway.metrics import GatewayMetrics
from freehold.serve.gateway.routing import RouteTable
from freehold.serve.state.loads import Load

POLL_S = 0.05
"""Between looks at what clients do; a place that becomes free is seen at once."""
NOTHING = Load(0, 0)
_OPEN = (EngineState.READY, EngineState.ASLEEP)
"""A model that sleeps has everything to spare: a line wakes it as a client would."""


class Capacity:
    """The places of this process, and who waits for them."""

    def __init__(
        self, engines: Mapping[str, Engine], table: RouteTable, metrics: GatewayMetrics, config: BatchesConfig
    ) -> None:
        self.elsewhere: Mapping[str, Load] = {}
        """Requests of clients that other processes relay, by model."""
        self._engines = engines
        self._table = table
        self._metrics = metrics
        self._config = config
        self._taken: Counter[str] = Counter()
        self._queues: dict[str, deque[object]] = {}
        """First come, first served, by the name that lines send."""
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def place(self, name: str, stopping: asyncio.Event) -> AsyncIterator[bool]:
        """A place for a line that names this model or route, inside the block; False if `stopping` came first."""
        ticket = object()
        queue = self._queues.setdefault(name, deque())
        queue.append(ticket)
        workers: frozenset[str] = frozenset()
        try:
            while not stopping.is_set():
                wanted = self.workers(name)
                if queue[0] is ticket and self._have_room(wanted):
                    workers = wanted
                    break
                await self._change()
            queue.remove(ticket)
            self._taken.update(workers)
            self._wake()  # the next one in the queue may find room too
            yield bool(workers)
        finally:
            if ticket in queue:
                queue.remove(ticket)
            self._taken.subtract(workers)
            self._wake()

    def workers(self, name: str) -> frozenset[str]:
        """The models whose hardware a request of this name may use; the name itself, where nothing goes by it."""
        route = self._table.routes.get(name)
        if route is None:
            engine = self._engines.get(name)
            return frozenset((name if engine is None else _worker(engine),))
        engines = [engine for engine, _ in route.targets] + list(route.fallback)
        engines += [route.canary] if route.canary is not None else []
        engines += route.council.engines if route.council is not None else ()
        return frozenset(_worker(engine) for engine in engines)

    def loads(self) -> dict[str, Load]:
        """Requests of clients that this process relays, by model."""
        names = {engine.name: _worker(engine) for engine in list(self._engines.values())}
        names |= {each: each for spec in self._table.routes.values() for each in self.workers(spec.name)}
        loads: dict[str, Load] = {}
        for name, worker in names.items():
            metrics, before = self._metrics.of(name), loads.get(worker, NOTHING)
            loads[worker] = Load(
                before.in_flight + metrics.in_flight - metrics.background_in_flight,
                before.waiting + metrics.waiting - metrics.background_waiting,
            )
        return loads

    def _have_room(self, workers: frozenset[str]) -> bool:
        config, loads = self._config, self.loads()
        for worker in workers:
            engine = self._engines.get(worker)
            if engine is not None and engine.state not in _OPEN:
                return False
            here, there = loads.get(worker, NOTHING), self.elsewhere.get(worker, NOTHING)
            if (
                self._taken[worker] >= config.concurrency
                or here.in_flight + there.in_flight > config.yield_above
                or here.waiting + there.waiting > config.yield_waiting
            ):
                return False
        return True

    def _wake(self) -> None:
        self._freed.set()
        self._freed = asyncio.Event()

    async def _change(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_S):
                await self._freed.wait()


def _worker(engine: Engine) -> str:
    return engine.name if engine.adapter is None else engine.adapter.model
