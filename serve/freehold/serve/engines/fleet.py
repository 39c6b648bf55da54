"""The fleet: every engine of one deployment, built from the config, started and stopped together."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import ExitStack

from freehold.core.environment.gpu import has_nvidia_gpu
from freehold.core.errors import ConfigError, FreeholdError, PolicyError
from freehold.core.policy import policies_here
from freehold.core.settings import Settings
from freehold.core.store import Store
from freehold.serve.adapters.admission import admit, lora_rank_of
from freehold.serve.adapters.following import AdapterPlace, configured_adapters
from freehold.serve.adapters.host import AdapterHost
from freehold.serve.config import DeploymentConfig, ServedAdapter, ServedModel, VllmEngine
from freehold.serve.config import RayEngine as RayConfig
from freehold.serve.config import RemoteEngine as RemoteConfig
from freehold.serve.engines.engine import Engine, EngineState
from freehold.serve.engines.environments import engine_version, resolve_engine_python
from freehold.serve.engines.permission import Permissions, require_whole
from freehold.serve.engines.process import EngineRuntime
from freehold.serve.engines.process import ProcessEngine as ProcessRunner
from freehold.serve.engines.promotion import require_gates
from freehold.serve.engines.ray.adapters import RayAdapters
from freehold.serve.engines.ray.engine import RayEngine as RayRunner
from freehold.serve.engines.remote import RemoteEngine as RemoteRunner

SETTLED = {EngineState.READY, EngineState.FAILED, EngineState.STOPPED, EngineState.UNLOADED, EngineState.UNREACHABLE}
POLL_S = 0.1


class Fleet:
    """Engines by model name. Holds every served artifact in use, so that nothing removes it from the store."""

    def __init__(self, engines: dict[str, Engine], hosts: dict[str, AdapterPlace], held: ExitStack) -> None:
        self.engines = engines
        """Models and, as they come and go, their adapters."""
        self.hosts = hosts
        """What loads adapters, by model, for those that may have some."""
        self._held = held

    async def start(self) -> None:
        for engine in list(self.engines.values()):
            await engine.start()
        for host in self.hosts.values():
            await host.start()

    async def until_settled(self) -> None:
        """Return once every engine and adapter is ready, has failed, or is somebody else's and does not answer."""
        while any(engine.state not in SETTLED for engine in self.engines.values()):
            await asyncio.sleep(POLL_S)

    async def stop(self) -> None:
        await asyncio.gather(*(host.stop() for host in self.hosts.values()))
        await asyncio.gather(*(engine.stop() for engine in self.engines.values()))
        self._held.close()


def build_fleet(
    config: DeploymentConfig, settings: Settings, store: Store, report: Callable[[str], None] = print
) -> Fleet:
    """Engines for every model.

    Raises ConfigError with every missing artifact, environment and secret at once, PolicyError with everything that a
    policy forbids where that is all.
    """
    permissions = Permissions(policies_here(settings, config.policy), store)
    problems: list[str] = []
    engines: dict[str, Engine] = {}
    hosts: dict[str, AdapterPlace] = {}
    with ExitStack() as held:
        for name, model in config.models.items():
            try:
                engine = engines[name] = _build(name, model, settings, store, held, report, permissions)
                if isinstance(engine, ProcessRunner | RayRunner) and model.adapters is not None:
                    problems += _adapter_problems(engine, model.adapters, store, permissions)
                    hosts[name] = _adapter_place(engine, store, engines, report, permissions)
            except FreeholdError as error:
                problems += (
                    error.problems if isinstance(error, ConfigError) else [f"models.{name}: {error}. {error.next_step}"]
                )
        if problems:
            raise ConfigError("The deployment cannot be served", problems + permissions.lines)
        permissions.refuse()
        for name, host in hosts.items():
            host.want(configured_adapters(config, name))
        return Fleet(engines, hosts, held.pop_all())


def _adapter_place(
    engine: ProcessRunner | RayRunner,
    store: Store,
    engines: dict[str, Engine],
    report: Callable[[str], None],
    permissions: Permissions,
) -> AdapterPlace:
    if isinstance(engine, RayRunner):
        return RayAdapters(engine, engines)
    return AdapterHost(engine, store, engines, report, permissions.policies)


def _adapter_problems(
    engine: ProcessRunner | RayRunner,
    adapters: Mapping[str, ServedAdapter],
    store: Store,
    permissions: Permissions,
) -> list[str]:
    assert engine.max_lora_rank is not None, "it was started for adapters"
    problems = []
    for name, adapter in adapters.items():
        try:
            admit(
                store,
                engine.artifact,
                adapter.artifact,
                accept=adapter.accept,
                max_rank=engine.max_lora_rank,
                policies=permissions.policies,
            )
        except PolicyError as error:
            permissions.add(f"models.{engine.name}.adapters.{name}", error)
        except FreeholdError as error:
            problems.append(f"models.{engine.name}.adapters.{name}: {error}. {error.next_step}".rstrip())
    return problems


def _build(
    name: str,
    model: ServedModel,
    settings: Settings,
    store: Store,
    held: ExitStack,
    report: Callable[[str], None],
    permissions: Permissions,
) -> Engine:
    if isinstance(model.engine, RemoteConfig):
        if permissions.policies:
            report(f"models.{name}: a remote engine; what it runs is not known here, so no policy was asked")
        return RemoteRunner(name, model.engine)
    assert model.artifact is not None, "the config refuses an engine of ours without an artifact"
    artifact = store.get(model.artifact)
    permissions.ask(name, model, artifact)
    if permissions.policies.ask_for_signatures:  # a signature is of what the lineage says: is that what is there?
        require_whole(store, artifact)
    require_gates(store, artifact, model.accept, model.requires)
    check_files(name, model.engine)
    runtime = _runtime(name, model.engine, settings)
    held.enter_context(store.use(artifact))
    if isinstance(model.engine, RayConfig):
        rank = lora_rank_of(model, store)
        return RayRunner(name, artifact, model.engine, runtime, store, report, settings, rank, permissions.policies)
    return ProcessRunner(name, artifact, model.engine, runtime, report, lora_rank_of(model, store))


def check_files(name: str, engine: VllmEngine) -> None:
    """Raises ConfigError for a chat template that is not there."""
    if engine.chat_template and not engine.chat_template.is_file():
        problem = f"models.{name}.engine.chatTemplate: no file {engine.chat_template}"
        raise ConfigError("The deployment cannot be served", [problem])


def _runtime(name: str, engine: VllmEngine, settings: Settings) -> EngineRuntime:
    python = resolve_engine_python(engine.python, settings)
    slug = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in name)
    return EngineRuntime(
        python=python,
        version=engine_version(python),
        has_gpu=_has_gpu(engine),
        log=settings.run_root / "logs" / f"{slug}.log",
    )


def _has_gpu(engine: VllmEngine) -> bool:
    """Whether it runs on a GPU: on this machine, or on nodes that lend one to each worker."""
    if isinstance(engine, RayConfig) and engine.resources:
        return "GPU" in engine.resources
    return has_nvidia_gpu()
