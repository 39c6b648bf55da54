"""Which engine holds a stored response: a request for one names its id only."""

import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from freehold.core.errors import NotFoundError
from freehold.serve.engines.engine import Engine
from freehold.serve.engines.replica import ReplicaEngine
from freehold.serve.engines.service import ServiceEngine
from freehold.serve.gateway.endpoints import Dialect, Endpoint
from freehold.serve.gateway.principal import Principal

if TYPE_CHECKING:
    from freehold.serve.workers.siblings import Siblings

_RESPONSE_ID = re.compile(rb'"id"\s*:\s*"(resp_[A-Za-z0-9_-]+)"')
_REMEMBERED = 10_000


class Owner(msgspec.Struct, frozen=True):
    """Which engine holds a stored response, and whose it is."""

    engine: str
    key_id: str
    place: str = ""
    """Base URL of the replica that holds it; empty for an engine that is at one place."""


class ResponseOwners:
    """Remembers who asked for a response and which engine holds it.

    The memory is this process's, and bounded; workers of one gateway ask each other. Where no keys are asked for, an id
    it does not know goes to the engine if there is just one; with keys nobody reads what is not known to be theirs.
    """

    def __init__(self, engines: Mapping[str, Engine], siblings: "Siblings | None") -> None:
        self._engines = engines
        self._siblings = siblings
        self._owners: OrderedDict[str, Owner] = OrderedDict()

    def learn(self, endpoint: Endpoint, answer: bytes, engine: Engine, principal: Principal) -> None:
        """Take note of the id at the head of an answer to `POST /v1/responses`."""
        if endpoint.dialect is not Dialect.RESPONSES or _is_plain(engine, self._engines, principal):
            return
        if match := _RESPONSE_ID.search(answer, 0, 1024):
            place = engine.base_url if isinstance(engine, ReplicaEngine) else ""
            self._remember(match[1].decode(), Owner(engine.name, principal.key_id, place))

    def known(self, response_id: str) -> Owner | None:
        """What this process knows of it."""
        return self._owners.get(response_id)

    def _remember(self, response_id: str, owner: Owner) -> None:
        self._owners[response_id] = owner
        if len(self._owners) > _REMEMBERED:
            self._owners.popitem(last=False)

    async def owner(self, response_id: str, principal: Principal) -> Engine:
        """The engine that holds it, as far as this worker or another one knows.

        Raises NotFoundError, also for what is somebody else's; WorkerSilent while one that may know does not answer.
        """
        is_plain = len(self._engines) == 1 and not principal.key_id
        known = self._owners.get(response_id)
        if known is None and self._siblings is not None and not is_plain:
            known = await self._siblings.owner(response_id)
            if known is not None:
                self._remember(response_id, known)
        if known is not None and known.engine in self._engines and known.key_id == principal.key_id:
            engine = self._engines[known.engine]
            if not isinstance(engine, ServiceEngine):
                return engine
            if held := engine.at(known.place):
                return held
        if known is None and is_plain:
            only = next(iter(self._engines.values()))
            return (only.choose() or only) if isinstance(only, ServiceEngine) else only
        raise NotFoundError(f"No response '{response_id}'", why="none of the engines here is known to hold it")


def _is_plain(engine: Engine, engines: Mapping[str, Engine], principal: Principal) -> bool:
    """Whether there is one engine at one place, and nobody to keep apart."""
    return len(engines) == 1 and not principal.key_id and not isinstance(engine, ReplicaEngine)
