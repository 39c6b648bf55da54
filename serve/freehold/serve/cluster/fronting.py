"""The gateway alone: in front of engines that others start, as in the pods of the chart's gateway."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from freehold.core.errors import ConfigError, UserError
from freehold.core.progress import hint
from freehold.core.settings import Settings
from freehold.serve.adapters.status import AdapterPhase, AdapterStatus
from freehold.serve.cluster.engines_file import EnginesFile
from freehold.serve.config import DeploymentConfig, ProcessEngine, RayEngine
from freehold.serve.config import RemoteEngine as RemoteConfig
from freehold.serve.engines.engine import Engine
from freehold.serve.engines.policies import POLICIES
from freehold.serve.engines.remote import RemoteEngine
from freehold.serve.engines.service import Resolve, Service, ServiceEngine, resolve
from freehold.serve.engines.upstream import build_upstreams
from freehold.serve.gateway.routing import RouteTable
from freehold.serve.gateway.server import serve_gateway
from freehold.serve.governing import check_governance, governance
from freehold.serve.logs import configure_logging
from freehold.serve.running import StopSignal, raise_file_limit, tell_rollback
from freehold.serve.state.adapters import AdapterRecord, list_adapters, read_adapter_revision
from freehold.serve.state.database import Database, DatabaseUnavailable, default_url, open_database

NAMES_S = 1.0
"""How late a name may be known, of an adapter that was asked for elsewhere."""


class Places:
    """The engines of a deployment, wherever they run, and what follows them."""

    def __init__(self, config: DeploymentConfig, file: EnginesFile, resolve: Resolve = resolve) -> None:
        """Raises ConfigError with every secret that is missing."""
        self.engines: dict[str, Engine] = {}
        self._config = config
        self._services: list[Service] = []
        problems: list[str] = []
        for name, model in config.models.items():
            if isinstance(model.engine, RemoteConfig):
                try:
                    self.engines[name] = RemoteEngine(name, model.engine)
                except ConfigError as error:
                    problems += error.problems
            elif isinstance(model.engine, RayEngine):
                problems.append(
                    f"models.{name}.engine.kind: ray; `freehold serve` runs such an engine, a gateway alone not"
                )
            else:
                self._add_service(name, model.engine, config, file, resolve)
        if problems:
            raise ConfigError("The deployment cannot be served", problems)

    def _add_service(
        self, name: str, engine: ProcessEngine, config: DeploymentConfig, file: EnginesFile, resolve: Resolve
    ) -> None:
        place = file.engines[name]
        service = Service(
            name,
            place.service,
            self.engines,
            port=place.port,
            attendant_port=place.attendant_port,
            hold_s=place.hold_s,
            most_held=place.max_held,
            policy=POLICIES[config.gateway.spreading](),
            resolve=resolve,
        )
        self._services.append(service)
        self.engines[name] = ServiceEngine(name, service, context_tokens=engine.max_model_len)
        service.expect(_configured(config, name))

    def expect(self, records: Iterable[AdapterRecord]) -> None:
        """Adapters of the database, beside those of the config, which keep their names."""
        taken = self._config.models.keys() | self._config.routes.keys() | self._config.adapters.keys()
        for service in self._services:
            asked_for = {
                record.name: AdapterStatus(service.model, record.artifact, AdapterPhase.LOADING)
                for record in records
                if record.model == service.model and record.name not in taken
            }
            service.expect(asked_for | _configured(self._config, service.model))

    async def start(self) -> None:
        """Returns after a first look at every place."""
        await asyncio.gather(*(service.start() for service in self._services))
        for engine in list(self.engines.values()):
            await engine.start()

    async def stop(self) -> None:
        await asyncio.gather(*(service.stop() for service in self._services))
        await asyncio.gather(*(engine.stop() for engine in self.engines.values()))


def _configured(config: DeploymentConfig, model: str) -> dict[str, AdapterStatus]:
    return {
        name: AdapterStatus(model, served.artifact, AdapterPhase.LOADING, is_configured=True)
        for name, served in (config.models[model].adapters or {}).items()
    }


@asynccontextmanager
async def _following_names(places: Places, config: DeploymentConfig, settings: Settings) -> AsyncIterator[None]:
    """Inside the block, adapters of the database are known by name, also while no replica could tell of them."""
    if all(model.adapters is None for model in config.models.values()):
        yield
        return
    database = open_database(config.gateway.database or default_url(settings.home))
    following = asyncio.create_task(_follow_names(places, database), name="follow names of adapters")
    try:
        yield
    finally:
        following.cancel()
        await asyncio.wait([following])
        await asyncio.to_thread(database.close)


async def _follow_names(places: Places, database: Database) -> None:
    known: int | None = None
    while True:
        with suppress(DatabaseUnavailable):  # the gateway says so by itself; names stay as they are
            revision = await database.run(read_adapter_revision)
            if revision != known:
                places.expect(await database.run(list_adapters))
                known = revision
        await asyncio.sleep(NAMES_S)


def check_front(config: DeploymentConfig, settings: Settings) -> None:
    """Raises ConfigError or UserError for what a gateway alone does not do."""
    if config.gateway.workers > 1:
        raise UserError(
            f"A gateway alone is one process, and {config.gateway.workers} workers were asked for",
            why="its workers would not learn of the replicas",
            next_step="Run more replicas of the gateway; they share keys, limits and usage by the database.",
        )
    if config.tuning is not None:
        problem = "tuning: nothing here works on the jobs; take it out, or use `freehold serve`"
        raise ConfigError("A gateway alone runs no fine-tuning", [problem])
    check_governance(config, settings)


@asynccontextmanager
async def fronting(
    config: DeploymentConfig, file: EnginesFile, settings: Settings, resolve: Resolve = resolve
) -> AsyncIterator[str]:
    """The URL of a gateway that runs inside the block. Raises ConfigError, UserError, EnvironmentProblem."""
    check_front(config, settings)
    places = Places(config, file, resolve)
    table = RouteTable(places.engines, config.routes, build_upstreams(config), tell_rollback)
    try:
        await places.start()
        async with governance(config, settings, engines=places.engines, has_store=False) as services:
            services = replace(services, stands_alone=True)
            async with (
                _following_names(places, config, settings),
                serve_gateway(places.engines, config.gateway, table, services) as gateway,
            ):
                yield gateway.url
    finally:
        await places.stop()


def run_front(config: DeploymentConfig, file: EnginesFile, settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    import uvloop

    configure_logging(config.gateway.log_format, access_log=config.gateway.access_log)
    raise_file_limit()
    uvloop.run(_run(config, file, settings))


async def _run(config: DeploymentConfig, file: EnginesFile, settings: Settings) -> None:
    stopping = StopSignal()
    async with fronting(config, file, settings) as url:
        hint(f"Gateway on {url}, in front of {', '.join(config.models)}")
        await stopping.wait()
        stopping.forget()
        hint(f"Draining: running requests have up to {config.gateway.drain_timeout_s:.0f} s …")
    hint("Stopped.")
