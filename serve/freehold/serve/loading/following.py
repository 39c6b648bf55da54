"""Follows what the database says should be unloaded. Runs beside the engines.

An outage of the database changes nothing. What runs on an engine may end before the engine does, as far as the time of
a drain goes.
"""

import asyncio
import logging
import time
from collections.abc import Coroutine, Mapping

import aiohttp

from freehold.serve.engines.engine import Engine
from freehold.serve.engines.process import ProcessEngine
from freehold.serve.state.database import Database, DatabaseUnavailable
from freehold.serve.state.unloading import unloaded_models
from freehold.serve.watching.engines import read_engine

log = logging.getLogger("freehold.loading")

POLL_S = 0.5
IDLE_S = 0.5
"""A gateway's worker knows of a change after 0.1 s: what it let in before is with the engine by then."""


class ModelFollower:
    """Our own engines, each loaded or not as the database has it."""

    def __init__(self, database: Database, engines: Mapping[str, Engine], drain_timeout_s: float) -> None:
        self._database = database
        self._engines = {name: each for name, each in engines.items() if isinstance(each, ProcessEngine)}
        self._drain_timeout_s = drain_timeout_s
        self._changes: dict[str, asyncio.Task[None]] = {}
        self._is_away = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Before the engines start: those that are to stay away are told so."""
        unloaded = await self._read() or {}
        for name, engine in self._engines.items():
            if name in unloaded:
                engine.stay_away(said(unloaded[name]))
        self._task = asyncio.create_task(self._follow(), name="follow unloaded models")
        self._task.add_done_callback(_report_end)

    async def close(self) -> None:
        """Stop following; the fleet stops the engines."""
        tasks = [task for task in (self._task, *self._changes.values()) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            unloaded = await self._read()
            if unloaded is None:
                continue
            for name, engine in self._engines.items():
                if name not in self._changes and engine.is_away != (name in unloaded):
                    change = self._unload(engine, unloaded[name]) if name in unloaded else engine.load()
                    self._changes[name] = asyncio.create_task(self._change(name, change), name=f"load or unload {name}")

    async def _read(self) -> dict[str, str] | None:
        """None while the database is away."""
        try:
            unloaded = await self._database.run(unloaded_models)
        except DatabaseUnavailable as error:
            if not self._is_away:
                log.warning("%s. Models stay loaded or unloaded as they are", error)
            self._is_away = True
            return None
        self._is_away = False
        return unloaded

    async def _unload(self, engine: ProcessEngine, actor: str) -> None:
        await engine.retreat()
        deadline = time.monotonic() + self._drain_timeout_s
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
            await asyncio.sleep(IDLE_S)
            while time.monotonic() < deadline and await _is_busy(session, engine):
                await asyncio.sleep(POLL_S)
        await engine.unload(said(actor))

    async def _change(self, name: str, change: Coroutine[None, None, None]) -> None:
        try:
            await change
        except Exception:
            log.exception("%s: it was not loaded or unloaded; it is tried again when that is asked for anew", name)
        finally:
            del self._changes[name]


def said(actor: str) -> str:
    """The detail of an engine that is unloaded."""
    return f"{actor} unloaded it"


async def _is_busy(session: aiohttp.ClientSession, engine: Engine) -> bool:
    """By its own numbers. One that is slow to tell them may be at work; one that is gone has nothing to wait for."""
    try:
        reading = await read_engine(session, engine.base_url, engine.headers)
    except TimeoutError:
        return True
    return reading is not None and reading.running + reading.queued > 0


def _report_end(following: asyncio.Task[None]) -> None:
    """A bug must not leave models as they are in silence."""
    if not following.cancelled() and following.exception() is not None:
        log.critical("What should be loaded is not followed any more", exc_info=following.exception())
