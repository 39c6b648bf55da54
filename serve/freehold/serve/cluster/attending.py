"""An engine's attendant: proves the engine beside it, loads its adapters, and tells whether it may be asked.

It runs until a signal, as a sidecar of the engine's container. After the signal it tells everybody that nothing new is
to be sent, and ends when the engine has, or when the drain's time is over.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress

from aiohttp import web

from freehold.core.errors import EnvironmentProblem
from freehold.core.policy import NO_POLICY, Policies
from freehold.core.progress import hint
from freehold.core.store import Store
from freehold.serve.adapters.admission import lora_rank_of
from freehold.serve.adapters.following import AdapterFollower, configured_adapters
from freehold.serve.adapters.host import AdapterHost
from freehold.serve.adapters.status import AdapterPhase
from freehold.serve.cluster.preparing import served_process
from freehold.serve.config import DeploymentConfig
from freehold.serve.engines.attached import AttachedEngine
from freehold.serve.engines.engine import Engine, EngineState
from freehold.serve.engines.replica import describe_replica
from freehold.serve.engines.service import LOOK_S
from freehold.serve.running import StopSignal
from freehold.serve.state.database import Database, elsewhere, open_database


class Attendant:
    """One engine with its adapters, and the pages that tell of them."""

    def __init__(self, engine: AttachedEngine, host: AdapterHost | None, engines: dict[str, Engine]) -> None:
        self.engine = engine
        self.host = host
        self.is_leaving = False
        self._engines = engines
        self._settled_life = 0
        """The life of the engine in which its first adapters were seen to be loaded, or to have failed."""

    @property
    def reason(self) -> str:
        """Why it takes no requests; empty if it does."""
        if self.is_leaving:
            return "it is shutting down"
        if self.engine.state is not EngineState.READY:
            return f"{self.engine.state}, {self.engine.detail}"
        return "" if self._has_settled() else "its adapters are being loaded"

    def _has_settled(self) -> bool:
        """Once for each life: adapters that come later keep nobody from asking."""
        if self.host is None or self._settled_life == self.engine.life:
            return True
        if all(status.phase is not AdapterPhase.LOADING for status, _ in self.host.statuses().values()):
            self._settled_life = self.engine.life
        return self._settled_life == self.engine.life

    def pages(self) -> web.Application:
        """`/health`, `/ready` and `/status`."""
        app = web.Application()
        app.router.add_get("/health", self._health)
        app.router.add_get("/ready", self._ready)
        app.router.add_get("/status", self._status)
        return app

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "alive"})

    async def _ready(self, request: web.Request) -> web.Response:
        reason = self.reason
        answer = {"status": "not ready" if reason else "ready", "model": self.engine.name, "reason": reason}
        return web.json_response(answer, status=503 if reason else 200)

    async def _status(self, request: web.Request) -> web.Response:
        adapters = [engine for name, engine in self._engines.items() if name != self.engine.name]
        body = describe_replica(self.engine, adapters, is_leaving=self.is_leaving)
        return web.Response(body=body, content_type="application/json")


@asynccontextmanager
async def attending(
    config: DeploymentConfig,
    name: str,
    store: Store,
    base_url: str,
    *,
    version: str | None = None,
    environ: Mapping[str, str] = os.environ,
    report: Callable[[str], None] = hint,
    policies: Policies = NO_POLICY,
) -> AsyncIterator[Attendant]:
    """An attendant that works inside the block. Raises NotFoundError, ConfigError."""
    model, engine_config = served_process(config, name)
    artifact = store.get(model.artifact or "")
    rank = lora_rank_of(model, store)
    engine = AttachedEngine(name, artifact, engine_config, base_url, report, version=version, max_lora_rank=rank)
    engines: dict[str, Engine] = {name: engine}
    host = None
    if model.adapters is not None:
        host = AdapterHost(engine, store, engines, report, policies)
        host.want(configured_adapters(config, name))
    with ExitStack() as held:
        held.enter_context(store.use(artifact))
        await engine.start()
        try:
            async with _loading(host, config, environ):
                yield Attendant(engine, host, engines)
        finally:
            await engine.stop()


@asynccontextmanager
async def _loading(
    host: AdapterHost | None, config: DeploymentConfig, environ: Mapping[str, str]
) -> AsyncIterator[None]:
    """Inside the block, adapters come and go as the config and the database say."""
    if host is None:
        yield
        return
    database = _database(config, environ)
    follower = AdapterFollower(database, {host.base.name: host}, config, _until_looked_at) if database else None
    try:
        if follower:
            await follower.start()
        await host.start()
        yield
    finally:
        if follower and database:
            await follower.close()
            await asyncio.to_thread(database.close)
        await host.stop()


async def _until_looked_at() -> None:
    """Gateways are elsewhere; in this time each has looked at `/status`."""
    await asyncio.sleep(LOOK_S)


def _database(config: DeploymentConfig, environ: Mapping[str, str]) -> Database | None:
    """The gateway's database, unless it is another machine's: then the config alone says what is loaded."""
    url = config.gateway.database
    reason = "gateway.database names none" if url is None else elsewhere(url, environ)
    if url is None or reason:
        hint(
            f"Adapters of the config alone are loaded, since the gateway's database is not reached from here: {reason}."
        )
        return None
    return open_database(url, environ)


async def attend(
    config: DeploymentConfig,
    name: str,
    store: Store,
    base_url: str,
    listen: tuple[str, int],
    *,
    version: str | None = None,
    policies: Policies = NO_POLICY,
) -> None:
    """Attend until a signal and the drain after it. Raises EnvironmentProblem if the address is not to be had."""
    stopping = StopSignal()
    async with attending(config, name, store, base_url, version=version, policies=policies) as attendant:
        runner = web.AppRunner(attendant.pages(), access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await _listen(runner, *listen)
            hint(f"Attending {name} at {base_url}; /ready and /status on http://{listen[0]}:{runner.addresses[0][1]}")
            await stopping.wait()
            attendant.is_leaving = True
            stopping.forget()
            hint(f"Leaving: the engine has up to {config.gateway.drain_timeout_s:.0f} s to end …")
            with suppress(TimeoutError):
                async with asyncio.timeout(config.gateway.drain_timeout_s):
                    await attendant.engine.until_gone()
        finally:
            await runner.cleanup()


async def _listen(runner: web.AppRunner, host: str, port: int) -> None:
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        raise EnvironmentProblem(
            f"Cannot listen on {host}:{port}",
            why=error.strerror or str(error),
            next_step="Choose another address with --listen.",
        ) from error
