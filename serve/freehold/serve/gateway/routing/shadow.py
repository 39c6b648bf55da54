"""Sends copies of requests to a candidate: fire and forget, with a budget of its own, never billed to the caller.

A copy asks for its answer in one piece, which costs the gateway a fraction of a stream.
"""

import asyncio
import time
from time import perf_counter
from typing import TYPE_CHECKING

from freehold.core.recording import new_id
from freehold.serve.engines.engine import Engine, EngineState
from freehold.serve.gateway import headers
from freehold.serve.gateway.calls import EngineCalls, Reply
from freehold.serve.gateway.exchange import Exchange
from freehold.serve.gateway.job import Job
from freehold.serve.gateway.metrics import GatewayMetrics
from freehold.serve.gateway.routing.plan import RouteSpec
from freehold.serve.gateway.routing.split import falls_in
from freehold.serve.recording.raw import RawExchange

if TYPE_CHECKING:
    from freehold.serve.recording.recorder import Recorder


class Shadows:
    """The copies that are under way."""

    def __init__(self, calls: EngineCalls, metrics: GatewayMetrics, recorder: "Recorder | None") -> None:
        self._calls = calls
        self._metrics = metrics
        self._recorder = recorder
        self._tasks: dict[str, set[asyncio.Task[None]]] = {}

    def send(self, job: Job, exchange: Exchange) -> None:
        """Copy the request to the route's candidate, if it is in the share and the budget; returns at once."""
        spec, engine = job.plan.spec, job.plan.shadow
        assert spec is not None and spec.config.shadow is not None and engine is not None, "the plan has a shadow"
        if not falls_in(spec.config.shadow.percent, "shadow", ""):
            return
        tasks = self._tasks.setdefault(spec.name, set())
        if len(tasks) >= spec.config.shadow.max_concurrent or engine.state is not EngineState.READY:
            result = "dropped" if engine.state is EngineState.READY else "not_ready"
            self._metrics.count_shadow(spec.name, engine.name, result)
            return
        exchange.record_id = new_id(time.time())
        is_kept = exchange.tape is not None and self._recorder is not None
        kind = headers.find(exchange.scope["headers"], b"content-type") or b"application/json"
        copy = self._copy(job, spec, engine, kind, exchange.record_id if is_kept else "")
        task = asyncio.get_running_loop().create_task(copy)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def _copy(self, job: Job, spec: RouteSpec, engine: Engine, kind: bytes, shadow_of: str) -> None:
        assert job.request is not None and spec.config.shadow is not None, "a route's request has a body"
        started, body = perf_counter(), job.request.as_whole(engine)
        timeout_s = spec.config.shadow.timeout_s
        reply = await self._calls.post(engine, job.endpoint.path.encode(), body, timeout_s, kind)
        self._metrics.count_shadow(spec.name, engine.name, str(reply.status) if reply else "no_answer")
        if shadow_of:
            self._keep(job, engine, reply, perf_counter() - started, shadow_of)

    def _keep(self, job: Job, engine: Engine, reply: Reply | None, latency_s: float, shadow_of: str) -> None:
        assert self._recorder is not None, "there is a recorder"
        self._recorder.offer(
            RawExchange(
                route=job.plan.route,
                model=engine.name,
                endpoint=job.endpoint.path,
                started_unix_s=time.time() - latency_s,
                status=reply.status if reply else 504,
                latency_s=latency_s,
                request=job.body,
                response=[reply.body] if reply else [],
                kind="shadow",
                truncated=reply is None,
                fingerprint=engine.fingerprint,
                shadow_of=shadow_of,
            )
        )

    async def close(self) -> None:
        """Give up what is under way."""
        tasks = [task for each in self._tasks.values() for task in each]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
