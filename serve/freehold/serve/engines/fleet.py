"""The fleet: every engine of one deployment, built from the config, started and stopped together."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack

from freehold.core.environment.gpu import has_nvidia_gpu
from freehold.core.errors import ConfigError, FreeholdError
from freehold.core.settings import Settings
from freehold.core.store import Store
from freehold.serve.config import DeploymentConfig, ProcessEngine, ServedModel
from freehold.serve.config import RemoteEngine as RemoteConfig
from freehold.serve.engines.engine import Engine, EngineState
from freehold.serve.engines.environments import engine_version, resolve_engine_python
from freehold.serve.engines.process import EngineRuntime
from freehold.serve.engines.process import ProcessEngine as ProcessRunner
from freehold.serve.engines.remote import RemoteEngine as RemoteRunner

SETTLED = {EngineState.READY, EngineState.FAILED, EngineState.STOPPED, EngineState.UNREACHABLE}
POLL_S = 0.1


class Fleet:
    """Engines by model name. Holds every served artifact in use, so that nothing removes it from the store."""

    def __init__(self, engines: dict[str, Engine], held: ExitStack) -> None:
        self.engines = engines
        self._held = held

    async def start(self) -> None:
        for engine in self.engines.values():
            await engine.start()

    async def until_settled(self) -> None:
        """Return once every engine is ready, has failed, or is somebody else's and does not answer."""
        while any(engine.state not in SETTLED for engine in self.engines.values()):
            await asyncio.sleep(POLL_S)

    async def stop(self) -> None:
        await asyncio.gather(*(engine.stop() for engine in self.engines.values()))
        self._held.close()


def build_fleet(
    config: DeploymentConfig, settings: Settings, store: Store, report: Callable[[str], None] = print
) -> Fleet:
    """Engines for every model. Raises ConfigError with every missing artifact, environment and secret at once."""
    problems: list[str] = []
    engines: dict[str, Engine] = {}
    with ExitStack() as held:
        for name, model in config.models.items():
            try:
                engines[name] = _build(name, model, settings, store, held, report)
            except FreeholdError as error:
                problems += (
                    error.problems if isinstance(error, ConfigError) else [f"models.{name}: {error}. {error.next_step}"]
                )
        if problems:
            raise ConfigError("The deployment cannot be served", problems)
        return Fleet(engines, held.pop_all())


def _build(
    name: str, model: ServedModel, settings: Settings, store: Store, held: ExitStack, report: Callable[[str], None]
) -> Engine:
    if isinstance(model.engine, RemoteConfig):
        return RemoteRunner(name, model.engine)
    assert model.artifact is not None, "the config refuses a process engine without an artifact"
    artifact = store.get(model.artifact)
    _check_files(name, model.engine)
    runtime = _runtime(name, model.engine, settings)
    held.enter_context(store.use(artifact))
    return ProcessRunner(name, artifact, model.engine, runtime, report)


def _check_files(name: str, engine: ProcessEngine) -> None:
    if engine.chat_template and not engine.chat_template.is_file():
        problem = f"models.{name}.engine.chatTemplate: no file {engine.chat_template}"
        raise ConfigError("The deployment cannot be served", [problem])


def _runtime(name: str, engine: ProcessEngine, settings: Settings) -> EngineRuntime:
    python = resolve_engine_python(engine.python, settings)
    slug = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in name)
    return EngineRuntime(
        python=python,
        version=engine_version(python),
        has_gpu=has_nvidia_gpu(),
        log=settings.run_root / "logs" / f"{slug}.log",
    )
