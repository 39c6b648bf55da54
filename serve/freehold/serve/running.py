"""The life of `freehold serve`: engines and gateway up, signals, drain, engines down."""

import asyncio
import resource
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from freehold.core.errors import EngineError
from freehold.core.progress import hint
from freehold.core.settings import Settings
from freehold.core.store import Store
from freehold.serve.adapters.following import AdapterFollower
from freehold.serve.config import DeploymentConfig
from freehold.serve.engines.engine import Engine, EngineState
from freehold.serve.engines.fleet import Fleet, build_fleet
from freehold.serve.engines.orphans import end_orphans
from freehold.serve.engines.upstream import build_upstreams
from freehold.serve.gateway.routing import RouteTable
from freehold.serve.gateway.server import serve_gateway
from freehold.serve.governing import check_governance, governance
from freehold.serve.loading.following import ModelFollower
from freehold.serve.logs import configure_logging
from freehold.serve.state.database import default_url, open_database
from freehold.serve.tuning.runner import tuning
from freehold.serve.workers.supervising import gateway_workers

SIGNALS = (signal.SIGTERM, signal.SIGINT)
KNOWN_LIMIT_S = 30.0
"""For every worker of the gateway to know that engines are ready; one that has died is started anew in that time."""


def check_deployment(config: DeploymentConfig, settings: Settings) -> None:
    """Raise ConfigError listing everything that the config names and this machine lacks; start nothing."""
    build_fleet(config, settings, Store(settings.store_root), hint)
    build_upstreams(config)
    check_governance(config, settings)


def raise_file_limit() -> None:
    """Allow as many open files as the system lets this user have: each client and each request in flight is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def run_deployment(config: DeploymentConfig, settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Raises EngineError when no engine can be brought up."""
    import uvloop

    configure_logging(config.gateway.log_format, access_log=config.gateway.access_log)
    raise_file_limit()
    uvloop.run(_run(config, settings))


async def _run(config: DeploymentConfig, settings: Settings) -> None:
    stopping = StopSignal()
    async with serving(config, settings) as deployment:
        settled = asyncio.create_task(deployment.until_ready())
        stopped = asyncio.create_task(stopping.wait())
        await asyncio.wait({settled, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if settled.done():
            settled.result()
            await stopped
        settled.cancel()
        stopping.forget()  # a second signal ends it at once: the guards clear up
        hint(f"Draining: running requests have up to {config.gateway.drain_timeout_s:.0f} s …")


class StopSignal:
    """SIGTERM or SIGINT, as the running loop hears of it."""

    def __init__(self) -> None:
        self._heard = asyncio.Event()
        for number in SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, self._heard.set)

    async def wait(self) -> None:
        """Return once there was one."""
        await self._heard.wait()

    def forget(self) -> None:
        """The next one ends this process at once."""
        for number in SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(number)


@asynccontextmanager
async def serving(config: DeploymentConfig, settings: Settings) -> AsyncIterator["Deployment"]:
    """A deployment that runs inside the block, and is drained and stopped at its end."""
    if ended := end_orphans():
        hint(f"Ended {len(ended)} process(es) whose `freehold serve` was killed.")
    fleet = build_fleet(config, settings, Store(settings.store_root), hint)
    try:
        opened = _gateway_here if config.gateway.workers == 1 else _gateway_of_workers
        async with opened(fleet.engines, config, settings) as front, _following(fleet, front, config, settings):
            hint(f"Gateway on {front.url} (a model answers 503 until it is ready)")
            await fleet.start()
            async with tuning(config, settings):
                yield Deployment(fleet, front)
    finally:
        await fleet.stop()
        hint("Stopped.")


@asynccontextmanager
async def _following(fleet: Fleet, front: "Front", config: DeploymentConfig, settings: Settings) -> AsyncIterator[None]:
    """Inside the block, adapters and models come and go as the database says."""
    database = open_database(config.gateway.database or default_url(settings.home))
    followers: list[AdapterFollower | ModelFollower] = [
        ModelFollower(database, fleet.engines, config.gateway.drain_timeout_s)
    ]
    if fleet.hosts:
        followers.append(AdapterFollower(database, fleet.hosts, config, front.until_it_knows))
    try:
        for follower in followers:
            await follower.start()
        yield
    finally:
        for follower in followers:
            await follower.close()
        await asyncio.to_thread(database.close)


@dataclass(frozen=True)
class Front:
    """A gateway, wherever it runs."""

    url: str
    """Base URL, without `/v1`."""
    until_it_knows: Callable[[], Awaitable[None]]
    """Returns when all of it acts on the engines as they are now."""


@asynccontextmanager
async def _gateway_here(
    engines: Mapping[str, Engine], config: DeploymentConfig, settings: Settings
) -> AsyncIterator[Front]:
    """A gateway in this process: it sees the engines themselves."""

    async def at_once() -> None: ...

    check_governance(config, settings)
    table = RouteTable(engines, config.routes, build_upstreams(config), tell_rollback)
    async with (
        governance(config, settings, engines=engines) as services,
        serve_gateway(engines, config.gateway, table, services) as gateway,
    ):
        yield Front(gateway.url, at_once)


@asynccontextmanager
async def _gateway_of_workers(
    engines: Mapping[str, Engine], config: DeploymentConfig, settings: Settings
) -> AsyncIterator[Front]:
    """A gateway of several processes."""
    build_upstreams(config)  # what is wrong should show here, once, and not in each worker
    check_governance(config, settings)
    async with gateway_workers(engines, config, settings) as workers:
        yield Front(workers.url, workers.until_they_know)


def tell_rollback(route: str, reason: str) -> None:
    """Say that a canary was taken back."""
    hint(f"Route {route}: the canary was rolled back: {reason}")


class Deployment:
    """Engines and the gateway in front of them, running."""

    def __init__(self, fleet: Fleet, front: Front) -> None:
        self._fleet = fleet
        self._front = front
        self._began = time.monotonic()

    @property
    def url(self) -> str:
        """Base URL of the gateway, without `/v1`."""
        return self._front.url

    @property
    def engines(self) -> Mapping[str, Engine]:
        return self._fleet.engines

    async def until_ready(self) -> None:
        """Return when every engine has settled and the gateway knows. Raises EngineError if all have failed."""
        await self._fleet.until_settled()
        engines = self._fleet.engines.values()
        ready = [engine.name for engine in engines if engine.state is EngineState.READY]
        if all(engine.state is EngineState.FAILED for engine in engines):
            reasons = "; ".join(f"{engine.name}: {engine.detail}" for engine in engines)
            raise EngineError(
                "No engine became ready", why=reasons, next_step="Run `freehold doctor`, or read the logs."
            )
        try:
            await asyncio.wait_for(self._front.until_it_knows(), KNOWN_LIMIT_S)
        except TimeoutError:
            hint(f"Not every worker of the gateway knew of it after {KNOWN_LIMIT_S:.0f} s: some may answer 503 longer.")
        hint(f"Ready after {time.monotonic() - self._began:.1f} s: {', '.join(ready) or 'nothing'} at {self.url}/v1")
