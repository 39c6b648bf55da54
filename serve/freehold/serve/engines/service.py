"""A model at several places: the pods behind a headless Kubernetes Service, found by DNS and known by their attendants.

`Service` follows the places, `ServiceEngine` is a name that clients send and that some of the places answer to: the
model, or one of its adapters. Every request goes to one place and stays there, since an abort and a stored response
must reach the engine that has the request; so the Service has no address of its own that would balance them.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress

import aiohttp
import msgspec

from freehold.serve.adapters.status import AdapterPhase, AdapterStatus
from freehold.serve.engines.engine import Engine, EngineState
from freehold.serve.engines.policies import ANY, Policy, PrefixAffinity, Wish
from freehold.serve.engines.replica import Replica, ReplicaEngine, ReplicaStatus
from freehold.serve.senses import Senses

log = logging.getLogger("freehold.gateway")

LOOK_S = 1.0
STATUS_TIMEOUT_S = 1.5
MISSES = 2
"""Looks in a row without an answer from its attendant, until a place counts as gone."""

Resolve = Callable[[str], Awaitable[list[str] | None]]
"""The addresses of a host; None where nobody can say now."""
_ABSENT = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


async def resolve(host: str) -> list[str] | None:
    """The host's addresses: none if the name is not there, as of a Service without pods; None if DNS is in trouble.

    A pod with addresses of both families counts once.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        return [] if error.errno in _ABSENT else None
    family = min(entry[0] for entry in found)  # AF_INET is less than AF_INET6
    return sorted({str(entry[4][0]) for entry in found if entry[0] == family})


class Service:
    """The places of one model. Its adapters come and go in `engines`, where the gateway looks names up."""

    def __init__(
        self,
        model: str,
        host: str,
        engines: dict[str, Engine],
        *,
        port: int = 8000,
        attendant_port: int = 8001,
        hold_s: float = 0.0,
        most_held: int = 1024,
        policy: Policy | None = None,
        resolve: Resolve = resolve,
    ) -> None:
        self.model = model
        self.url = f"http://{_bracketed(host)}:{port}"
        """For people: no request goes there."""
        self.hold_s = hold_s
        self.most_held = most_held
        self.policy = policy or PrefixAffinity()
        self.replicas: dict[str, Replica] = {}
        """By address."""
        self.changed = asyncio.Event()
        """Set when what is ready has changed; another one is there then."""
        self._host = host
        self._port = port
        self._attendant_port = attendant_port
        self._engines = engines
        self._resolve = resolve
        self._expected: dict[str, AdapterStatus] = {}
        self._misses: dict[str, int] = {}
        self._was_ready: set[tuple[str, str]] = set()
        self._lacks_dns = False
        self._session: aiohttp.ClientSession | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns after the first look."""
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=STATUS_TIMEOUT_S))
        await self._look()
        self._task = asyncio.create_task(self._follow(), name=f"follow {self.model}")
        self._task.add_done_callback(_report_end)

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        if self._session is not None:
            await self._session.close()

    def expect(self, adapters: Mapping[str, AdapterStatus]) -> None:
        """Adapters that the places are to have, also while there is none: a request for one of them is no 404."""
        self._expected = dict(adapters)
        self._follow_adapters()

    def lose(self, replica: Replica, why: str) -> None:
        """Send it nothing more until its attendant has answered again."""
        replica.hide(why)
        self._tell()

    # -- following -------------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            await self._look()

    async def _look(self) -> None:
        addresses = await self._resolve(self._host)
        if (addresses is None) is not self._lacks_dns:
            self._lacks_dns = addresses is None
            log.warning("%s: %s", self._host, "DNS does not answer" if self._lacks_dns else "DNS answers again")
        if addresses is not None:
            for address in self.replicas.keys() - set(addresses):
                self.replicas.pop(address).hide("its pod is gone")
                self._misses.pop(address, None)
            for address in addresses:
                if address not in self.replicas:
                    self.replicas[address] = Replica(f"http://{_bracketed(address)}:{self._port}")
        await asyncio.gather(*(self._ask(address, replica) for address, replica in list(self.replicas.items())))
        self._follow_adapters()
        self._tell()

    async def _ask(self, address: str, replica: Replica) -> None:
        url = f"http://{_bracketed(address)}:{self._attendant_port}/status"
        assert self._session is not None, "it was started"
        try:
            async with self._session.get(url) as response:
                status = msgspec.json.decode(await response.read(), type=ReplicaStatus)
        except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError) as error:
            self._misses[address] = self._misses.get(address, 0) + 1
            if self._misses[address] >= MISSES:
                replica.hide(f"its attendant at {url} does not answer: {str(error) or type(error).__name__}")
            return
        self._misses[address] = 0
        if status.model == self.model:
            replica.show(status)
        else:
            replica.hide(f"{url} attends '{status.model}'")
        self._tell()

    def _follow_adapters(self) -> None:
        """Names that are expected, and names that the places have. The latter stay while no place is ready."""
        found = {name: view for one in self.replicas.values() for name, view in one.engines.items() if not one.is_gone}
        told = {name: view.adapter for name, view in found.items() if view.adapter is not None}
        for name, status in (self._expected | told).items():
            if name not in self._engines:
                self._engines[name] = ServiceEngine(name, self, adapter=status)
        if not any(replica.ready(self.model) for replica in self.replicas.values()):
            return
        for name, engine in list(self._engines.items()):
            is_mine = isinstance(engine, ServiceEngine) and engine.service is self and name != self.model
            if is_mine and name not in told and name not in self._expected:
                del self._engines[name]

    def _tell(self) -> None:
        """Wake whoever waits, if what is ready has changed."""
        places = self.replicas.items()
        ready = {(address, name) for address, one in places for name in one.engines if one.ready(name)}
        if ready != self._was_ready:
            self._was_ready = ready
            self.policy.change({address for address, name in ready if name == self.model})
            self.changed.set()
            self.changed = asyncio.Event()


class ServiceEngine:
    """Satisfies `Engine`, for what is asked before a place is chosen; then the place's own engine has the request."""

    def __init__(
        self, name: str, service: Service, *, adapter: AdapterStatus | None = None, context_tokens: int | None = None
    ) -> None:
        self.name = name
        self.service = service
        self.headers: Mapping[str, str] = {}
        self.leaves = False
        self.provider = "vllm"
        self.is_spread = False
        self._adapter = adapter
        self._context_tokens = context_tokens
        self._known: ReplicaEngine | None = None

    @property
    def is_adapter(self) -> bool:
        return self.name != self.service.model

    def choose(self, wish: Wish = ANY, without: Collection[Replica] = ()) -> ReplicaEngine | None:
        """A ready place, by the policy; None if there is none."""
        name = self.name

        def takes(replica: Replica) -> bool:
            return replica.ready(name) is not None and replica not in without

        service = self.service
        place = service.policy.choose(service.replicas, wish, takes)
        return None if place is None else place.ready(name)

    def at(self, base_url: str) -> ReplicaEngine | None:
        """The one at this place, if it is still there."""
        places = (replica for replica in self.service.replicas.values() if replica.url == base_url)
        return next((one.engines[self.name] for one in places if self.name in one.engines), None)

    async def until_ready(self, limit_s: float, wish: Wish = ANY) -> ReplicaEngine | None:
        """A place, as soon as one is ready; None if none is within the limit."""
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                while (engine := self.choose(wish)) is None:
                    await self.service.changed.wait()
                return engine
        return None

    @property
    def is_held(self) -> bool:
        """Whether a request may wait for a place to become ready."""
        return self.service.hold_s > 0

    @property
    def _lead(self) -> ReplicaEngine | None:
        """Any that is ready, else the last that was: places of one model do not differ in what is asked of it."""
        for replica in self.service.replicas.values():
            if engine := replica.ready(self.name):
                self._known = engine
                return engine
        return self._known

    @property
    def state(self) -> EngineState:
        replicas = self.service.replicas.values()
        if any(replica.ready(self.name) for replica in replicas):
            return EngineState.READY
        if not replicas:
            return EngineState.ASLEEP
        states = {replica.engines[self.name].state for replica in replicas if self.name in replica.engines}
        return EngineState.FAILED if states == {EngineState.FAILED} else EngineState.STARTING

    @property
    def detail(self) -> str:
        if self.state is EngineState.READY:
            return ""
        details = [self._detail_of(replica) for replica in self.service.replicas.values()]
        return "; ".join(dict.fromkeys(filter(None, details))) or "no replica is ready"

    def _detail_of(self, replica: Replica) -> str:
        engine = replica.engines.get(self.name)
        return replica.detail if replica.is_gone or engine is None else engine.detail

    @property
    def base_url(self) -> str:
        lead = self._lead
        return self.service.url if lead is None else lead.base_url

    @property
    def upstream_model(self) -> str:
        lead = self._lead
        return self.name if lead is None else lead.upstream_model

    @property
    def fingerprint(self) -> str:
        lead = self._lead
        return "" if lead is None else lead.fingerprint

    @property
    def artifact_id(self) -> str:
        lead = self._lead
        return "" if lead is None else lead.artifact_id

    @property
    def context_tokens(self) -> int | None:
        lead = self._lead
        return self._context_tokens if lead is None else lead.context_tokens

    @property
    def can_abort(self) -> bool:
        lead = self._lead
        return lead is not None and lead.can_abort

    @property
    def abilities(self) -> frozenset[str] | None:
        lead = self._lead
        return None if lead is None else lead.abilities

    @property
    def senses(self) -> Senses | None:
        lead = self._lead
        return None if lead is None else lead.senses

    @property
    def adapter(self) -> AdapterStatus | None:
        """As one of the places has it: one where it is ready, if there is such a place."""
        if self._adapter is None:
            return None
        found = [one.engines[self.name] for one in self.service.replicas.values() if self.name in one.engines]
        found.sort(key=lambda engine: engine.state is not EngineState.READY)
        if found and found[0].adapter is not None:
            self._adapter = found[0].adapter
        elif self._adapter.phase is AdapterPhase.READY:
            return msgspec.structs.replace(self._adapter, phase=AdapterPhase.LOADING)
        return self._adapter

    def speaks(self, anthropic: bool) -> bool:
        return True

    async def start(self) -> None:
        """Nothing: `Service` is started."""

    async def stop(self) -> None: ...


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _report_end(following: asyncio.Task[None]) -> None:
    """A bug must not leave the gateway with places of yesterday in silence."""
    if not following.cancelled() and following.exception() is not None:
        log.critical("The replicas of a model are not followed any more", exc_info=following.exception())
