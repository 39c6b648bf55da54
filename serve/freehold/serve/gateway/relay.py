"""The hot path: one request, from the client's bytes to the engine's and back.

It reads the body once, looks at no chunk of the answer but the last ones, and holds four promises: what the engine
sends arrives byte for byte; a client that leaves aborts the engine's request; an engine that dies is an error to the
client, never a clean end; and whatever was used is accounted for. It tries another engine only where a route says so,
and only before the first byte.
"""

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from time import perf_counter

from starlette.types import Scope, Send

from freehold.core.errors import FreeholdError
from freehold.serve.engines.engine import Engine
from freehold.serve.engines.service import ServiceEngine
from freehold.serve.gateway import headers
from freehold.serve.gateway.accounts import Accounts
from freehold.serve.gateway.answer import is_event_stream, relay_answer
from freehold.serve.gateway.attempt import Attempt
from freehold.serve.gateway.body import ClientLeft
from freehold.serve.gateway.calls import EngineCalls
from freehold.serve.gateway.connection import ConnectionBroken
from freehold.serve.gateway.contemplation.contemplation import Contemplation
from freehold.serve.gateway.endpoints import Endpoint
from freehold.serve.gateway.errors import Draining, EngineLost, EngineSilent, Unauthorized, Unavailable, send_error
from freehold.serve.gateway.exchange import Exchange
from freehold.serve.gateway.hiding import UsageHider
from freehold.serve.gateway.job import Job
from freehold.serve.gateway.metrics import CLIENT_LEFT, GatewayMetrics
from freehold.serve.gateway.owners import ResponseOwners
from freehold.serve.gateway.parameters import not_honoured_line
from freehold.serve.gateway.pool import EnginePool
from freehold.serve.gateway.principal import Principal
from freehold.serve.gateway.reception import Reception, check_ready
from freehold.serve.gateway.routing import RouteTable
from freehold.serve.gateway.routing.shadow import Shadows
from freehold.serve.gateway.services import Services
from freehold.serve.gateway.spreading import Course, SecondChance, Spreading, spreader_trouble
from freehold.serve.gateway.tokenizing import Tokenizing
from freehold.serve.gateway.winding import Winding

log = logging.getLogger("freehold.gateway")


class Relay:
    """Relays requests to engines. `pool` is there while the gateway runs."""

    def __init__(
        self,
        engines: Mapping[str, Engine],
        table: RouteTable,
        metrics: GatewayMetrics,
        max_body_bytes: int,
        services: Services,
    ) -> None:
        self.table = table
        self._metrics = metrics
        self._services = services
        self.pool: EnginePool | None = None
        self.owners = ResponseOwners(engines, services.siblings)
        self.running: set[Exchange] = set()
        self.is_draining = False
        self.calls = EngineCalls(self._open_pool)
        self.accounts = Accounts(services, metrics, self.calls)
        self.winding = Winding(self.calls, self.accounts.conclude)
        self.shadows = Shadows(self.calls, metrics, services.recorder)
        self._spreading = Spreading(self._try, self.accounts, metrics, self.owners)
        self._contemplation = Contemplation(self._serve, services)
        metrics.add(self._contemplation.counts)
        self._reception = Reception(table, self.owners, services, Tokenizing(self.calls), max_body_bytes)

    def _open_pool(self) -> EnginePool:
        assert self.pool is not None, "the gateway is not started"
        return self.pool

    async def refuse(self, error: FreeholdError, endpoint: Endpoint, send: Send, model: str = "") -> None:
        """Answer with the error's envelope, and count it."""
        self._metrics.of(model).count_request(endpoint.path, error.http_status)
        await send_error(send, error, endpoint.dialect)

    async def __call__(self, endpoint: Endpoint, scope: Scope, send: Send, response_id: str = "") -> None:
        """Relay a request to the engine that its body names, or to the one that holds `response_id`."""
        exchange = Exchange(endpoint, scope, perf_counter())
        if self._services.tracer is not None:
            exchange.span = self._services.tracer.start(scope["headers"], endpoint.path, "", scope["method"])
        try:
            if self.is_draining:
                raise Draining("The gateway is shutting down", next_step="Send the request again in a moment.")
            job = await self._reception.let_in(exchange, response_id)
        except ClientLeft:
            self._metrics.of("").count_request(endpoint.path, CLIENT_LEFT)
            self.accounts.left(exchange)
            return
        except FreeholdError as error:
            await self.refuse(error, endpoint, send, exchange.model)
            self.accounts.refused(endpoint, exchange, error)
            return
        exchange.watch()
        self.running.add(exchange)
        try:
            await self._serve(job, exchange)
        except asyncio.CancelledError:
            if not exchange.is_cut_off:
                raise
            _forgive_cancellation()
            if exchange.abort_error is not None:
                exchange.fail(exchange.abort_error)
        finally:
            exchange.close()
            self.running.discard(exchange)

    async def identify(self, client: list[tuple[bytes, bytes]]) -> Principal:
        """Whose request has these headers. Raises Unauthorized."""
        return await self._reception.identify(client)

    def cut_off(self, key_ids: set[str]) -> None:
        """End what runs for keys that are not valid any more."""
        for exchange in list(self.running):
            if exchange.principal.key_id in key_ids:
                exchange.abort(Unauthorized("The API key was revoked"))

    # -- engines, in the plan's order ------------------------------------------------------------------------------

    async def _serve(self, job: Job, exchange: Exchange) -> None:
        """Let the first engine answer that can."""
        self.accounts.open(job, exchange)
        if job.plan.council is not None:
            await self._contemplation.answer(job, exchange)
            return
        if job.plan.shadow is not None:
            self.shadows.send(job, exchange)
        engines = job.plan.engines
        for engine in engines[:-1]:
            trouble = await self._one(engine, job, exchange, is_last=False)
            if trouble is None:
                return
            log.warning("Route %s: %s did not answer, trying the next: %s", job.plan.route, engine.name, trouble)
            self._metrics.count_fallback(job.plan.route, engine.name, trouble.code)
        trouble = await self._one(engines[-1], job, exchange, is_last=True)
        if trouble is not None:
            exchange.fail(trouble)

    def _one(
        self, engine: Engine, job: Job, exchange: Exchange, *, is_last: bool
    ) -> Coroutine[None, None, FreeholdError | None]:
        """One engine of the plan, wherever it runs."""
        if isinstance(engine, ServiceEngine):
            return self._spreading.answer(engine, job, exchange, is_last=is_last)
        if engine.is_spread:
            return self._twice(engine, job, exchange, is_last=is_last)
        return self._try(engine, job, exchange, is_last=is_last)

    async def _twice(self, engine: Engine, job: Job, exchange: Exchange, *, is_last: bool) -> FreeholdError | None:
        """An engine of several replicas: one that is lost with the request is followed by one other and no more."""
        chance = SecondChance()
        trouble = await self._try(engine, job, exchange, is_last=is_last, tour=chance)
        if trouble is not None and chance.is_taken:
            log.warning("A replica of %s did not answer, trying another: %s", engine.name, trouble)
            return await self._try(engine, job, exchange, is_last=is_last)
        return trouble

    async def _try(
        self, engine: Engine, job: Job, exchange: Exchange, *, is_last: bool, tour: Course | None = None
    ) -> FreeholdError | None:
        """Relay this engine's answer; or why the client has had nothing of one. A tour says whether it goes on."""
        attempt = self.accounts.begin(engine, job, exchange)
        trouble: FreeholdError | None = None
        try:
            if job.plan.first_byte_timeout_s is None:
                first = await self._ask(attempt, is_last=is_last)
            else:
                async with asyncio.timeout(job.plan.first_byte_timeout_s):
                    first = await self._ask(attempt, is_last=is_last, holds_head=True)
            await self._relay(attempt, first)
        except TimeoutError:
            trouble = EngineSilent(f"'{engine.name}' did not begin its answer in {job.plan.first_byte_timeout_s:g} s")
        except ConnectionBroken as error:
            trouble = await self._lost(attempt, str(error))
        except FreeholdError as error:
            trouble = error
        finally:
            if trouble is not None:
                attempt.status = trouble.http_status
                goes_on = tour is not None and tour.goes_on(attempt, trouble)
                attempt.is_final = is_last and not goes_on
            self._let_go(attempt)
        return trouble

    def _let_go(self, attempt: Attempt) -> None:
        connection = attempt.connection
        if connection is None or connection.is_read or not connection.is_usable or connection.status >= 400:
            if connection is not None:
                connection.finish()
            try:  # before the client has all of it: a kill after that finds its usage written down
                self.accounts.conclude(attempt)
            finally:
                attempt.exchange.release()
        else:
            self.winding.take(attempt)

    async def _ask(self, attempt: Attempt, *, is_last: bool, holds_head: bool = False) -> bytes:
        """Send the request; returns once the engine has begun to answer, with what was read of its body.

        Raises ConnectionBroken, and FreeholdError where another engine may do better.
        """
        engine = attempt.engine
        check_ready(engine)
        request = self._request(attempt)
        try:
            pool, origin = self._open_pool(), self.calls.address(engine).origin
            connection = attempt.connection = pool.idle(origin) or await pool.connection(origin)
        except OSError as error:
            reason = str(error) or "it does not take the connection"
            log.warning("Engine %s cannot be reached: %s", engine.name, reason)
            raise Unavailable(f"The engine of '{engine.name}' cannot be reached", why=reason) from error
        attempt.is_asked = True
        await connection.ask(request)
        if engine.is_spread and (trouble := spreader_trouble(engine, connection)) is not None:
            raise trouble
        if is_last and not holds_head:
            return b""
        if not is_last and (connection.status >= 500 or connection.status == 429):
            raise Unavailable(f"The engine of '{engine.name}' answered {connection.status}")
        # The status does not leave before there is an answer to go with it.
        return await connection.read() if is_event_stream(connection) else b""

    def _request(self, attempt: Attempt) -> bytes:
        """The bytes of the request as this engine gets it. Raises EngineError."""
        engine, job, scope = attempt.engine, attempt.job, attempt.exchange.scope
        address = self.calls.address(engine)
        more: list[tuple[bytes, bytes]] = []
        if engine.can_abort and job.endpoint.engine_id:
            attempt.request_id = _engine_request_id(job, scope["headers"])
            more.append((headers.REQUEST_ID, attempt.request_id.encode("latin-1")))
        left_out: frozenset[bytes] = frozenset()
        if attempt.span is not None and self._services.tracer is not None:
            more += attempt.span.engine_headers()
            left_out = self._services.tracer.propagated
        body = job.body if job.request is None else job.request.for_engine(engine, attempt.request_id)
        query = scope["query_string"]
        target = address.prefix + scope["raw_path"] + (b"?" + query if query else b"")
        lines = headers.to_engine(scope["headers"], engine.headers, more, left_out)
        method = scope["method"].encode()
        head = b"%b %b HTTP/1.1\r\nhost: %b\r\n%b" % (method, target, address.host_header, lines)
        return b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body)

    async def _relay(self, attempt: Attempt, first: bytes) -> None:
        """The engine's answer, to its end. Raises ConnectionBroken."""
        connection, job, engine = attempt.connection, attempt.job, attempt.engine
        assert connection is not None, "it was asked"
        head = connection.headers
        lines = headers.to_client(connection.fields, engine.fingerprint, job.request_id)
        if job.hints:
            lines += not_honoured_line(job.hints)
        if job.reservation is not None and (limits := job.reservation.header_lines()):
            lines += limits
            if connection.has_rate_limits:  # an upstream's are about our key there, not about the client's
                head = [pair for pair in head if not pair[0].startswith(b"x-ratelimit-")]
        hider = UsageHider() if job.request is not None and job.request.hides_usage else None
        begun = await relay_answer(connection, head, lines, attempt.exchange, attempt.meter, hider, first)
        self.owners.learn(job.endpoint, begun, engine, job.principal)

    async def _lost(self, attempt: Attempt, why: str) -> FreeholdError | None:
        """The engine has died. An error event, if the client has seen a part of its answer; else the error."""
        has_begun = attempt.connection is not None and attempt.connection.status
        when = "in the middle of its answer" if has_begun else "before it answered"
        log.warning("Engine %s was lost %s: %s", attempt.engine.name, when, why)
        attempt.meter.broken()
        error = EngineLost(f"The engine of '{attempt.engine.name}' was lost {when}", why=why)
        attempt.status = error.http_status
        if not attempt.exchange.status:
            return error
        attempt.exchange.fail(error)
        return None


def _engine_request_id(job: Job, client: headers.RawHeaders) -> str:
    """Begins with the client's own id, if it sent one, and is never anybody else's: an abort names it."""
    given = headers.find(client, headers.REQUEST_ID).decode("latin-1")
    is_plain = given.isascii() and given.replace("-", "").replace("_", "").isalnum() and len(given) <= 128
    name = f"{given}-{job.request_id}" if is_plain else job.request_id
    return f"resp_{name}" if job.endpoint.engine_id == "resp_" else name


def _forgive_cancellation() -> None:
    """The cancellation was our own and has done its work; the server must not take the task for a cancelled one."""
    task = asyncio.current_task()
    assert task is not None
    task.uncancel()
