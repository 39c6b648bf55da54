"""The parent of the workers: holds their port, starts them, starts them again, and stops them."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from freehold.core.errors import EnvironmentProblem
from freehold.core.settings import Settings
from freehold.serve.config import DeploymentConfig
from freehold.serve.engines.engine import Engine
from freehold.serve.gateway.listening import reserve_port, url_of
from freehold.serve.state.database import DatabaseUnavailable, default_url, open_database
from freehold.serve.state.migrating import migrate
from freehold.serve.workers.folder import make_control_folder
from freehold.serve.workers.order import write_order
from freehold.serve.workers.process import WorkerProcess
from freehold.serve.workers.states import EngineStates

log = logging.getLogger("freehold.gateway")

START_LIMIT_S = 60.0
"""A worker listens after one or two seconds, unless the machine is very busy."""
BACKOFF_S = 0.25
BACKOFF_LIMIT_S = 30.0
TOLD_POLL_S = 0.01
HEALTHY_AFTER_S = 60.0
"""A life this long clears the count of those before it."""
CLOSING_S = 30.0
"""For a worker that has drained to settle its accounts."""


@asynccontextmanager
async def gateway_workers(
    engines: Mapping[str, Engine], config: DeploymentConfig, settings: Settings
) -> AsyncIterator["Workers"]:
    """A gateway of `gateway.workers` processes; leaving the block drains and stops it.

    Raises EnvironmentProblem if the port is not to be had or a worker does not start.
    """
    with reserve_port(config.gateway.host, config.gateway.port) as reserved:
        port: int = reserved.getsockname()[1]
        config = config.model_copy(update={"gateway": config.gateway.model_copy(update={"port": port})})
        await asyncio.to_thread(_migrate, config, settings)
        folder = make_control_folder(settings.run_root)
        workers = Workers(config, settings, EngineStates(engines), folder.path)
        try:
            await workers.start()
            yield workers
        finally:
            await workers.stop()
            folder.remove()


def _migrate(config: DeploymentConfig, settings: Settings) -> None:
    """Once, before all workers want to. A database that is down is for them to cope with."""
    database = open_database(config.gateway.database or default_url(settings.home))
    try:
        with suppress(DatabaseUnavailable):
            migrate(database)
    finally:
        database.close()


class Workers:
    """As many as the config says, always."""

    def __init__(self, config: DeploymentConfig, settings: Settings, states: EngineStates, folder: Path) -> None:
        self._config = config
        self._settings = settings
        self.url = url_of(config.gateway.host, config.gateway.port)
        self._states = states
        self._folder = folder
        self._alive: dict[int, WorkerProcess] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._watching: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Returns when all of them answer requests. Raises EnvironmentProblem with the first reason why not."""
        loop = asyncio.get_running_loop()
        self._watching = loop.create_task(self._states.watch())
        up: list[asyncio.Future[None]] = [loop.create_future() for _ in range(self._config.gateway.workers)]
        self._tasks = [loop.create_task(self._supervise(number, first)) for number, first in enumerate(up, start=1)]
        try:
            async with asyncio.timeout(START_LIMIT_S):
                await asyncio.gather(*up)
        except TimeoutError as error:
            raise _did_not_start(f"not all of them listened within {START_LIMIT_S:.0f} s") from error

    async def until_they_know(self) -> None:
        """Return when all of them act on the engines as they are now; for one that has ended, the next one does."""
        version = self._states.look()
        numbers = range(1, self._config.gateway.workers + 1)
        while not all(number in self._alive and self._alive[number].knows >= version for number in numbers):
            await asyncio.sleep(TOLD_POLL_S)

    async def stop(self) -> None:
        """Drain all of them; returns when none is left."""
        self._stopping.set()
        for worker in self._alive.values():
            worker.drain()
        _, late = await asyncio.wait(self._tasks, timeout=self._config.gateway.drain_timeout_s + CLOSING_S)
        if late:
            log.warning("%d workers did not end by themselves and are killed", len(late))
            for worker in self._alive.values():
                worker.kill()
            await asyncio.wait(late)
        for task in self._tasks:
            task.result()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    async def _supervise(self, number: int, first: asyncio.Future[None]) -> None:
        """One worker after the other; `first` is whether the first of them ever listened."""
        loop = asyncio.get_running_loop()
        failures = 0
        while not self._stopping.is_set():
            began = loop.time()
            reason = await self._live(number, first)
            if self._stopping.is_set():
                return
            if not first.done():  # a wrong config should show at once
                first.set_exception(_did_not_start(f"worker {number}: {reason}"))
                return
            failures = 1 if loop.time() - began >= HEALTHY_AFTER_S else failures + 1
            wait_s = min(BACKOFF_S * 2 ** (failures - 1), BACKOFF_LIMIT_S)
            log.warning("Gateway worker %d has ended: %s; another one in %.2f s", number, reason, wait_s)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), wait_s)

    async def _live(self, number: int, first: asyncio.Future[None]) -> str:
        """One life of a worker; why it ended."""
        order = write_order(number, self._folder, self._settings, self._config)
        try:
            worker = self._alive[number] = await WorkerProcess.start(order)
        except OSError as error:  # no memory, too many processes: another moment may be better
            return f"it cannot be started: {error}"
        if self._stopping.is_set():
            worker.drain()
        noticing = asyncio.create_task(self._notice(number, worker, first))
        try:
            return await worker.run(self._states)
        finally:
            del self._alive[number]
            noticing.cancel()

    async def _notice(self, number: int, worker: WorkerProcess, first: asyncio.Future[None]) -> None:
        await worker.listening.wait()
        log.info("Gateway worker %d listens (process %d)", number, worker.pid)
        if not first.done():
            first.set_result(None)


def _did_not_start(why: str) -> EnvironmentProblem:
    return EnvironmentProblem(
        "The gateway's workers did not start", why=why, next_step="Read the lines above, or try `--workers 1`."
    )
