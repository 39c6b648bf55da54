"""The gateway as an ASGI application: the hot path in front, FastAPI behind it."""

import asyncio
from collections.abc import Mapping

from starlette.types import Receive, Scope, Send

from freehold.serve.config import GatewayConfig
from freehold.serve.engines.engine import Engine
from freehold.serve.engines.service import ServiceEngine
from freehold.serve.gateway.endpoints import ENDPOINTS, RESPONSES_PREFIX, STORED_RESPONSE, Endpoint
from freehold.serve.gateway.errors import Draining, MethodNotAllowed
from freehold.serve.gateway.metrics import GatewayMetrics
from freehold.serve.gateway.owners import ResponseOwners
from freehold.serve.gateway.pages import create_pages
from freehold.serve.gateway.pool import EnginePool
from freehold.serve.gateway.relay import Relay
from freehold.serve.gateway.routing import RouteTable
from freehold.serve.gateway.service_metrics import ServiceMetrics
from freehold.serve.gateway.services import NOTHING, Services

_POLL_S = 0.02
_LAST_WORDS_S = 3.0
"""For engines to tell the usage of what was cut off."""
_FAREWELL_S = 1.0
"""For the last error to reach a client; one that does not read would hold up the stop for ever."""


def create_gateway(
    engines: Mapping[str, Engine],
    config: GatewayConfig,
    table: RouteTable | None = None,
    services: Services = NOTHING,
) -> "Gateway":
    """An ASGI application in front of these engines, by the name that clients send.

    The mapping is read on every request, so it may change; the caller starts and stops engines and services.
    """
    return Gateway(engines, config, table or RouteTable(engines), services)


class Gateway:
    """ASGI application; what it relays needs the server of `gateway.http`, whose cycles it works on.

    Start and close it by ASGI's lifespan, or by `start` and `close`.
    """

    def __init__(
        self, engines: Mapping[str, Engine], config: GatewayConfig, table: RouteTable, services: Services
    ) -> None:
        self.metrics = GatewayMetrics(engines)
        self.metrics.trials = {name: spec.trial for name, spec in table.routes.items() if spec.trial}
        self.metrics.add(ServiceMetrics(services))
        services_of = (engine.service for engine in engines.values() if isinstance(engine, ServiceEngine))
        self.metrics.held = {service.model: 0 for service in services_of if service.hold_s}
        self._relay = Relay(engines, table, self.metrics, config.max_body_bytes, services)
        self._engines = engines
        self._batches = services.batches
        self._pages = create_pages(engines, self.metrics, self._relay, services)
        if services.keyring is not None:
            services.keyring.on_revoked = self._relay.cut_off

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        path: str = scope["path"]
        endpoint = ENDPOINTS.get(path)
        if endpoint is not None:
            if scope["method"] == "POST":
                await self._relay(endpoint, scope, send)
            else:
                await self._relay.refuse(MethodNotAllowed(scope["method"], path, "POST"), endpoint, send)
        elif path.startswith(RESPONSES_PREFIX):
            await self._stored_response(path.removeprefix(RESPONSES_PREFIX), scope, receive, send)
        else:
            await self._pages(scope, receive, send)

    async def _stored_response(self, rest: str, scope: Scope, receive: Receive, send: Send) -> None:
        """`GET /v1/responses/{id}` and `POST /v1/responses/{id}/cancel`."""
        endpoint: Endpoint = STORED_RESPONSE
        response_id, _, action = rest.partition("/")
        if not response_id or action not in ("", "cancel"):
            await self._pages(scope, receive, send)
            return
        method = "POST" if action else "GET"
        if scope["method"] != method:
            await self._relay.refuse(MethodNotAllowed(scope["method"], scope["path"], method), endpoint, send)
            return
        await self._relay(endpoint, scope, send, response_id)

    @property
    def owners(self) -> ResponseOwners:
        """Who holds which stored response."""
        return self._relay.owners

    @property
    def in_flight(self) -> int:
        """Requests being relayed now."""
        return len(self._relay.running)

    async def start(self) -> None:
        """Open the pool towards the engines."""
        self._relay.pool = EnginePool()
        self._relay.is_draining = False
        if self._batches is not None:
            self._batches.start(self._relay, self._engines, self.metrics)

    async def drain(self, timeout_s: float) -> int:
        """Refuse new requests, wait for those in flight, then end the rest with an error; how many those were."""
        self._relay.is_draining = True
        if self._batches is not None:
            self._batches.retire()
        await self._until_idle(timeout_s)
        unfinished = list(self._relay.running)
        for exchange in unfinished:
            exchange.abort(Draining("The gateway was shut down before the answer's end"))
        await self._until_idle(_FAREWELL_S)
        return len(unfinished)

    async def _until_idle(self, timeout_s: float) -> None:
        deadline = asyncio.get_running_loop().time() + timeout_s
        while self._relay.running and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(_POLL_S)

    async def settled(self) -> None:
        """Return when everything that clients have left is accounted for."""
        await self._relay.winding.until_done()

    async def close(self) -> None:
        """Settle what is still open, and close the pool towards the engines."""
        if self._batches is not None:
            await self._batches.close()
        await self._relay.shadows.close()
        await self._relay.winding.give_up(_LAST_WORDS_S)
        pool, self._relay.pool = self._relay.pool, None
        if pool is not None:
            pool.close()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        await self.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.close()
        await send({"type": "lifespan.shutdown.complete"})
