"""The life of `freehold serve`: engines and gateway up, signals, drain, engines down."""

import asyncio
import signal
import time
from collections.abc import Mapping

from freehold.core.errors import EngineError
from freehold.core.progress import hint
from freehold.core.settings import Settings
from freehold.core.store import Store
from freehold.serve.config import DeploymentConfig
from freehold.serve.engines.engine import Engine, EngineState
from freehold.serve.engines.fleet import Fleet, build_fleet
from freehold.serve.gateway.server import GatewayServer

SIGNALS = (signal.SIGTERM, signal.SIGINT)


def check_deployment(config: DeploymentConfig, settings: Settings) -> None:
    """Raise ConfigError listing everything that the config names and this machine lacks; start nothing."""
    build_fleet(config, settings, Store(settings.store_root), hint)


def run_deployment(config: DeploymentConfig, settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Raises EngineError when no engine can be brought up."""
    import uvloop

    uvloop.run(_run(config, settings))


async def _run(config: DeploymentConfig, settings: Settings) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, stopping.set)
    async with serving(config, settings) as deployment:
        settled = asyncio.create_task(deployment.until_ready())
        stopped = asyncio.create_task(stopping.wait())
        await asyncio.wait({settled, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if settled.done():
            settled.result()
            await stopped
        settled.cancel()
        for number in SIGNALS:  # a second signal ends it at once: the guards clear up
            loop.remove_signal_handler(number)
        hint(f"Draining: running requests have up to {config.gateway.drain_timeout_s:.0f} s …")


class serving:  # noqa: N801 - reads as a verb where it is used
    """Async context manager: a deployment that runs inside the block, and is drained and stopped at its end."""

    def __init__(self, config: DeploymentConfig, settings: Settings) -> None:
        self._config = config
        self._fleet: Fleet = build_fleet(config, settings, Store(settings.store_root), hint)
        self._gateway = GatewayServer(self._fleet.engines, config.gateway)
        self._began = time.monotonic()

    async def __aenter__(self) -> "serving":
        self._began = time.monotonic()
        await self._gateway.start()
        hint(f"Gateway on {self._gateway.url} (models answer 503 until they are ready)")
        await self._fleet.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._gateway.stop()
        await self._fleet.stop()
        hint("Stopped.")

    @property
    def url(self) -> str:
        """Base URL of the gateway, without `/v1`."""
        return self._gateway.url

    @property
    def engines(self) -> Mapping[str, Engine]:
        return self._fleet.engines

    async def until_ready(self) -> None:
        """Return when every engine is ready or has failed. Raises EngineError if none is ready."""
        await self._fleet.until_settled()
        engines = self._fleet.engines.values()
        ready = [engine.name for engine in engines if engine.state is EngineState.READY]
        if not ready:
            reasons = "; ".join(f"{engine.name}: {engine.detail}" for engine in engines)
            raise EngineError("No engine became ready", why=reasons, next_step="Run `freehold doctor`, or read the logs.")
        hint(f"Ready after {time.monotonic() - self._began:.1f} s: {', '.join(ready)} at {self.url}/v1")
