"""Everything that is not relayed: the list of models, health, readiness and metrics."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from freehold.core.errors import FreeholdError
from freehold.serve.engines.engine import Engine, EngineState
from freehold.serve.gateway.endpoints import ENDPOINTS, Dialect
from freehold.serve.gateway.errors import MethodNotAllowed, RequestError, UnknownPath, envelope, error_headers
from freehold.serve.gateway.metrics import GatewayMetrics
from freehold.serve.gateway.openapi import openapi_document, operation_id
from freehold.serve.gateway.relay import Relay
from freehold.serve.gateway.routing import unknown_model
from freehold.serve.gateway.services import Services
from freehold.serve.gateway.validation import invalid_request

CREATED = int(time.time())


def create_pages(
    engines: Mapping[str, Engine],
    metrics: GatewayMetrics,
    relay: Relay,
    services: Services,
) -> FastAPI:
    """The FastAPI application behind the hot path."""
    pages = FastAPI(openapi_url=None, redirect_slashes=False, generate_unique_id_function=operation_id)
    handle_errors(pages)
    if services.admin is not None:
        pages.include_router(services.admin)
    for router in services.pages:
        pages.include_router(router)

    @pages.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "alive"}

    @pages.get("/ready")
    async def ready() -> Response:
        return _readiness(engines, relay, stands_alone=services.stands_alone)

    async def exposition() -> bytes:
        siblings = services.siblings
        return metrics.render() if siblings is None else await siblings.exposition(metrics.render)

    if services.watch is not None:
        services.watch.source = exposition

    @pages.get("/metrics")
    async def show_metrics() -> Response:
        return Response(await exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    document = cache(lambda: openapi_document(pages))  # at the first request: nobody waits for it at the start

    @pages.get("/openapi.json")
    async def show_openapi() -> dict[str, Any]:
        return document()

    @pages.get("/v1/models")
    async def list_models(request: Request) -> dict[str, Any]:
        names = relay.table.names(await relay.identify(request.scope["headers"]))
        if _dialect(request) is Dialect.ANTHROPIC:
            data = [_anthropic_model(name) for name in names]
            ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {}
            return {"data": data, "has_more": False, "first_id": None, "last_id": None, **ends}
        return {"object": "list", "data": [_openai_model(name, engines.get(name)) for name in names]}

    @pages.get("/v1/models/{name:path}")
    async def show_model(name: str, request: Request) -> dict[str, Any]:
        names = relay.table.names(await relay.identify(request.scope["headers"]))
        if name not in names:
            raise unknown_model(name, names)
        return (
            _anthropic_model(name) if _dialect(request) is Dialect.ANTHROPIC else _openai_model(name, engines.get(name))
        )

    return pages


def handle_errors(pages: FastAPI) -> None:
    """Every error in an envelope: ours, the framework's refusals, and what it finds wrong with a request."""
    pages.add_exception_handler(FreeholdError, _freehold_error)
    pages.add_exception_handler(HTTPException, _http_error)
    pages.add_exception_handler(RequestValidationError, invalid_request)
    pages.add_exception_handler(Exception, _fault)


AS_WANTED = (EngineState.READY, EngineState.UNLOADED)
"""States in which nothing is left to wait for."""


def _readiness(engines: Mapping[str, Engine], relay: Relay, *, stands_alone: bool) -> Response:
    """200 if every configured model takes requests: a rollout must not go on over half a deployment.

    A model that somebody unloaded is as it should be. A gateway that stands alone is ready while it lets requests in:
    models sleep and wake behind it.

    An adapter that is not ready is told, and keeps nobody from asking the models.
    """
    own = [engine for engine in engines.values() if engine.adapter is None]
    is_ready = not relay.is_draining and (stands_alone or all(engine.state in AS_WANTED for engine in own))
    models = {name: {"state": engine.state, "detail": engine.detail} for name, engine in engines.items()}
    status = "draining" if relay.is_draining else "ready" if is_ready else "not ready"
    return JSONResponse({"status": status, "models": models}, status_code=200 if is_ready else 503)


def _openai_model(name: str, engine: Engine | None) -> dict[str, Any]:
    """A model and the artifact it is; an adapter also names what it is loaded into, in the fields that vLLM has."""
    model = {"id": name, "object": "model", "created": CREATED, "owned_by": "freehold"}
    if engine is None or engine.adapter is None:
        return model | ({"root": engine.artifact_id} if engine is not None and engine.artifact_id else {})
    adapter = engine.adapter
    return {**model, "parent": adapter.model, "root": adapter.serving or adapter.wanted}


def _anthropic_model(name: str) -> dict[str, Any]:
    created = datetime.fromtimestamp(CREATED, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"type": "model", "id": name, "display_name": name, "created_at": created}


def _dialect(request: Request) -> Dialect:
    if "anthropic-version" in request.headers or request.url.path.startswith("/v1/messages"):
        return Dialect.ANTHROPIC
    return Dialect.OPENAI


def _freehold_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, FreeholdError)
    body = envelope(error, _dialect(request))
    return JSONResponse(body, status_code=error.http_status, headers=error_headers(error))


def _fault(request: Request, error: Exception) -> Response:
    """A bug of ours. The framework raises it again after this answer, and the server logs it."""
    return _freehold_error(request, FreeholdError("The gateway failed", why="its log says more"))


def _http_error(request: Request, error: Exception) -> Response:
    """The framework's own refusals: no such path, no such method, a body that breaks its JSON parser."""
    assert isinstance(error, HTTPException)
    if error.status_code == 400:
        return _freehold_error(request, RequestError("The request's body is not JSON", code="invalid_request"))
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "GET")
        return _freehold_error(request, MethodNotAllowed(request.method, request.url.path, allowed))
    assert error.status_code == 404, "no page raises another"
    paths = ", ".join(ENDPOINTS)
    return _freehold_error(request, UnknownPath(f"No such path: {request.url.path}", next_step=f"Relayed: {paths}."))
