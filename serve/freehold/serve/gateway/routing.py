"""Which engine a request belongs to."""

import re
from collections import OrderedDict
from collections.abc import Mapping

from starlette.types import Scope

from freehold.core.errors import NotFoundError
from freehold.serve.engines.engine import Engine
from freehold.serve.gateway import headers
from freehold.serve.gateway.body import json_model, with_json_model
from freehold.serve.gateway.endpoints import BodyFormat, Dialect, Endpoint
from freehold.serve.gateway.errors import UnknownModel
from freehold.serve.gateway.multipart import form_model, with_form_model

_RESPONSE_ID = re.compile(rb'"id"\s*:\s*"(resp_[A-Za-z0-9_-]+)"')
_REMEMBERED = 10_000


def route(engines: Mapping[str, Engine], endpoint: Endpoint, scope: Scope, body: bytes) -> tuple[Engine, bytes]:
    """The engine that the body names, and the body as that engine wants it. Raises RequestError, UnknownModel."""
    if endpoint.body_format is BodyFormat.JSON:
        name = json_model(body)
        engine = find_engine(engines, name)
        return engine, body if engine.upstream_model == name else with_json_model(body, engine.upstream_model)
    name, span = form_model(body, headers.find(scope["headers"], b"content-type"))
    engine = find_engine(engines, name)
    return engine, body if engine.upstream_model == name else with_form_model(body, span, engine.upstream_model)


def find_engine(engines: Mapping[str, Engine], name: str) -> Engine:
    """The engine of that name. Raises UnknownModel, which lists those there are."""
    engine = engines.get(name)
    if engine is None:
        raise UnknownModel(f"The model '{name}' does not exist", next_step=f"Models: {', '.join(engines) or 'none'}.")
    return engine


class ResponseOwners:
    """Remembers which engine holds a stored response: a request for it names the id only.

    The memory is this process's, and bounded. An id it does not know goes to the engine if there is just one.
    """

    def __init__(self, engines: Mapping[str, Engine]) -> None:
        self._engines = engines
        self._names: OrderedDict[str, str] = OrderedDict()

    def learn(self, endpoint: Endpoint, answer: bytes, engine: Engine) -> None:
        """Take note of the id at the head of an answer to `POST /v1/responses`."""
        if endpoint.dialect is not Dialect.RESPONSES or len(self._engines) == 1:
            return
        if match := _RESPONSE_ID.search(answer, 0, 1024):
            self._names[match[1].decode()] = engine.name
            if len(self._names) > _REMEMBERED:
                self._names.popitem(last=False)

    def owner(self, response_id: str) -> Engine:
        """The engine that holds it. Raises NotFoundError."""
        name = self._names.get(response_id)
        if name is not None and name in self._engines:
            return self._engines[name]
        if len(self._engines) == 1:
            return next(iter(self._engines.values()))
        raise NotFoundError(f"No response '{response_id}'", why="none of the engines here is known to hold it")
