"""The hot path: one request, from the client's bytes to the engine's and back.

It reads the body once for the model's name, looks at no chunk of the answer but the last ones, and holds three
promises: what the engine sends arrives byte for byte; a client that leaves aborts the engine's request; an engine that
dies is an error to the client, never a clean end. It retries nothing.
"""

import asyncio
import logging
from collections.abc import Mapping
from time import perf_counter

from starlette.types import Receive, Scope, Send

from freehold.core.errors import FreeholdError
from freehold.serve.engines.engine import Engine, EngineState
from freehold.serve.gateway import headers
from freehold.serve.gateway.answer import relay_answer
from freehold.serve.gateway.body import ClientLeft, read_body
from freehold.serve.gateway.connection import ConnectionBroken
from freehold.serve.gateway.endpoints import Endpoint
from freehold.serve.gateway.errors import Draining, EngineLost, Unavailable, send_error
from freehold.serve.gateway.exchange import Exchange
from freehold.serve.gateway.meter import AnswerMeter
from freehold.serve.gateway.metrics import CLIENT_LEFT, GatewayMetrics
from freehold.serve.gateway.pool import Address, EnginePool, parse_base_url
from freehold.serve.gateway.routing import ResponseOwners, route

log = logging.getLogger("freehold.gateway")


class Relay:
    """Relays requests to engines. `pool` is there while the gateway runs."""

    def __init__(self, engines: Mapping[str, Engine], metrics: GatewayMetrics, max_body_bytes: int) -> None:
        self._engines = engines
        self._metrics = metrics
        self._max_body_bytes = max_body_bytes
        self._addresses: dict[str, Address] = {}
        self.pool: EnginePool | None = None
        self.owners = ResponseOwners(engines)
        self.running: set[Exchange] = set()
        self.is_draining = False

    async def refuse(self, error: FreeholdError, endpoint: Endpoint, send: Send, model: str = "") -> None:
        """Answer with the error's envelope, and count it."""
        self._metrics.of(model).count_request(endpoint.path, error.http_status)
        await send_error(send, error, endpoint.dialect)

    async def __call__(
        self, endpoint: Endpoint, scope: Scope, receive: Receive, send: Send, engine: Engine | None = None
    ) -> None:
        """Relay a request to the engine that its body names, or to `engine` if its body names none."""
        started = perf_counter()
        model = "" if engine is None else engine.name
        try:
            declared = headers.find(scope["headers"], b"content-length")
            body = await read_body(receive, declared, self._max_body_bytes)
            if engine is None:
                engine, body = route(self._engines, endpoint, scope, body)
                model = engine.name
            self._check_ready(engine)
            address, request = self._request(engine, scope, body)
        except ClientLeft:
            self._metrics.of(model).count_request(endpoint.path, CLIENT_LEFT)
            return
        except FreeholdError as error:
            await self.refuse(error, endpoint, send, model)
            return
        exchange = Exchange(endpoint, scope, send, started)
        exchange.watch(receive)
        self.running.add(exchange)
        meter = AnswerMeter(self._metrics.of(model), started)
        try:
            await self._converse(engine, address, request, exchange, meter)
        except asyncio.CancelledError:
            if not exchange.client_left and exchange.abort_error is None:
                raise
            _forgive_cancellation()
            if exchange.abort_error is not None:
                await exchange.fail(exchange.abort_error)
        finally:
            exchange.close()
            self.running.discard(exchange)
            meter.close(endpoint.path, exchange.status)

    def _check_ready(self, engine: Engine) -> None:
        if self.is_draining:
            raise Draining("The gateway is shutting down", next_step="Send the request again in a moment.")
        if engine.state is not EngineState.READY:
            raise Unavailable(
                f"The model '{engine.name}' is not ready",
                why=f"{engine.state}, {engine.detail}" if engine.detail else f"{engine.state}",
            )

    def _request(self, engine: Engine, scope: Scope, body: bytes) -> tuple[Address, bytes]:
        """Where the engine listens, and the bytes to send there. Raises EngineError."""
        address = self._addresses.get(engine.base_url)
        if address is None:
            address = self._addresses[engine.base_url] = parse_base_url(engine.base_url)
        query = scope["query_string"]
        target = address.prefix + scope["raw_path"] + (b"?" + query if query else b"")
        lines = headers.to_engine(scope["headers"], engine.headers)
        method = scope["method"].encode()
        head = b"%b %b HTTP/1.1\r\nhost: %b\r\n%b" % (method, target, address.host_header, lines)
        return address, b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body)

    async def _converse(
        self, engine: Engine, address: Address, request: bytes, exchange: Exchange, meter: AnswerMeter
    ) -> None:
        """Send the request and relay the answer; an engine that fails is told to the client."""
        assert self.pool is not None, "the gateway is not started"
        try:
            connection = await self.pool.connection(address.origin)
        except OSError as error:
            reason = str(error) or "it does not take the connection"
            log.warning("Engine %s cannot be reached: %s", engine.name, reason)
            await exchange.fail(Unavailable(f"The engine of '{engine.name}' cannot be reached", why=reason))
            return
        try:
            await connection.ask(request)
            first = await relay_answer(connection, exchange, meter, engine.fingerprint)
            self.owners.learn(exchange.endpoint, first, engine)
        except ConnectionBroken as error:
            when = "in the middle of its answer" if connection.status else "before it answered"
            log.warning("Engine %s was lost %s: %s", engine.name, when, error)
            meter.broken()
            await exchange.fail(EngineLost(f"The engine of '{engine.name}' was lost {when}", why=str(error)))
        finally:
            connection.finish()


def _forgive_cancellation() -> None:
    """The cancellation was our own and has done its work; the server must not take the task for a cancelled one."""
    task = asyncio.current_task()
    assert task is not None
    task.uncancel()
