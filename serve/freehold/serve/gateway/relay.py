"""The hot path: one request, from the client's bytes to the engine's and back.

It reads the body once for the model's name, looks at no chunk of the answer but the last ones, and holds three
promises: what the engine sends arrives byte for byte; a client that leaves aborts the engine's request; an engine that
dies is an error to the client, never a clean end. It retries nothing.
"""

import asyncio
import logging
from collections.abc import Mapping
from time import perf_counter

import aiohttp
from multidict import CIMultiDict
from starlette.types import Receive, Scope, Send
from yarl import URL

from freehold.core.errors import FreeholdError
from freehold.serve.engines.engine import Engine, EngineState
from freehold.serve.gateway import headers
from freehold.serve.gateway.answer import relay_answer
from freehold.serve.gateway.body import ClientLeft, read_body
from freehold.serve.gateway.client import AUTO_HEADERS, RawBody
from freehold.serve.gateway.endpoints import Endpoint
from freehold.serve.gateway.errors import Draining, EngineLost, Unavailable, send_error
from freehold.serve.gateway.exchange import Exchange
from freehold.serve.gateway.meter import AnswerMeter
from freehold.serve.gateway.metrics import CLIENT_LEFT, GatewayMetrics
from freehold.serve.gateway.routing import ResponseOwners, route

log = logging.getLogger("freehold.gateway")


class Relay:
    """Relays requests to engines. `client` is the gateway's pooled client, there while the gateway runs."""

    def __init__(self, engines: Mapping[str, Engine], metrics: GatewayMetrics, max_body_bytes: int) -> None:
        self._engines = engines
        self._metrics = metrics
        self._max_body_bytes = max_body_bytes
        self._urls: dict[tuple[str, str], URL] = {}
        self.client: aiohttp.ClientSession | None = None
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
            sent_headers = headers.to_engine(scope["headers"], engine.headers)
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
            await self._converse(engine, exchange, meter, sent_headers, body)
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

    async def _converse(
        self, engine: Engine, exchange: Exchange, meter: AnswerMeter, sent_headers: CIMultiDict[str], body: bytes
    ) -> None:
        """Send the request and relay the answer; an engine that fails is told to the client."""
        assert self.client is not None, "the gateway is not started"
        try:
            response = await self.client.request(
                exchange.scope["method"],
                self._url(engine, exchange.scope),
                data=RawBody(body) if body else None,
                headers=sent_headers,
                skip_auto_headers=[name for name in AUTO_HEADERS if name not in sent_headers] or None,
                allow_redirects=False,
            )
        except aiohttp.ClientConnectorError as error:
            log.warning("Engine %s cannot be reached: %s", engine.name, error)
            await exchange.fail(Unavailable(f"The engine of '{engine.name}' cannot be reached", why=str(error)))
            return
        except aiohttp.ClientError as error:
            await self._engine_lost(engine, exchange, meter, error, "before it answered")
            return
        try:
            first = await relay_answer(response, exchange, meter, engine.fingerprint)
            self.owners.learn(exchange.endpoint, first, engine)
        except aiohttp.ClientError as error:
            await self._engine_lost(engine, exchange, meter, error, "in the middle of its answer")
        finally:
            response.close()  # gives back nothing after a whole answer; aborts the engine's request after half of one

    async def _engine_lost(
        self, engine: Engine, exchange: Exchange, meter: AnswerMeter, error: aiohttp.ClientError, when: str
    ) -> None:
        reason = str(error) or type(error).__name__
        log.warning("Engine %s was lost %s: %s", engine.name, when, reason)
        meter.broken()
        await exchange.fail(EngineLost(f"The engine of '{engine.name}' was lost {when}", why=reason))

    def _url(self, engine: Engine, scope: Scope) -> URL:
        query = scope["query_string"]
        if query:
            return URL(f"{engine.base_url}{scope['raw_path'].decode()}?{query.decode('latin-1')}", encoded=True)
        key = (engine.base_url, scope["path"])
        url = self._urls.get(key)
        if url is None:
            url = URL(f"{engine.base_url}{scope['raw_path'].decode()}", encoded=True)
            if scope["path"].count("/") <= 3:  # not the paths that carry an id: the table must not grow
                self._urls[key] = url
        return url


def _forgive_cancellation() -> None:
    """The cancellation was our own and has done its work; the server must not take the task for a cancelled one."""
    task = asyncio.current_task()
    assert task is not None
    task.uncancel()
