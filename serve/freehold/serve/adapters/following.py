"""Follows what the database says should be loaded, and tells it how that stands here. Runs beside the engines.

An outage of the database changes nothing of what is loaded.
"""

import asyncio
import logging
import secrets
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Protocol

from sqlalchemy import Connection

from freehold.serve.adapters.engine import AdaptableEngine
from freehold.serve.adapters.host import Wanted
from freehold.serve.adapters.status import AdapterStatus
from freehold.serve.config import DeploymentConfig
from freehold.serve.state.adapters import (
    AdapterRecord,
    AdapterReport,
    list_adapters,
    read_adapter_revision,
    write_reports,
)
from freehold.serve.state.database import Database, DatabaseUnavailable

log = logging.getLogger("freehold.adapters")

POLL_S = 0.5
REPORT_S = 5.0
"""A report is due at each change, and after so long: who is silent longer counts as gone (`ALIVE_S`)."""
KNOWN_LIMIT_S = 2.0
"""For the gateway in front to know of a change before it is told. A worker that has just ended may take longer: the
next one knows from its start."""


class AdapterPlace(Protocol):
    """Whatever loads the adapters of one model: `AdapterHost`, or the replicas of a model on Ray."""

    @property
    def base(self) -> AdaptableEngine:
        """The model's engine."""

    def want(self, wanted: Mapping[str, Wanted]) -> None:
        """Say anew what should answer, by adapter's name; returns at once."""

    def statuses(self) -> dict[str, tuple[AdapterStatus, str]]:
        """How each adapter stands, with its fingerprint."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


def configured_adapters(config: DeploymentConfig, model: str) -> dict[str, Wanted]:
    """The adapters that the config names for a model."""
    adapters = config.models[model].adapters or {}
    return {name: Wanted(adapter.artifact, adapter.accept, True) for name, adapter in adapters.items()}


class AdapterFollower:
    """One replica's hosts, by model, kept like the config and the database say together."""

    def __init__(
        self,
        database: Database,
        hosts: Mapping[str, AdapterPlace],
        config: DeploymentConfig,
        until_known: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`until_known` returns when the gateway acts on the engines as they are, as far as that can be waited for."""
        self.replica = f"{socket.gethostname()[:40]}-{secrets.token_hex(3)}"
        self._database = database
        self._hosts = hosts
        self._config = config
        self._until_known = until_known
        self._revision: int | None = None
        self._shadowed: set[str] = set()
        self._reported: list[AdapterReport] = []
        self._reported_at = float("-inf")
        self._is_away = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns when what the database knows is wanted, or the database does not answer."""
        await self._look()
        self._task = asyncio.create_task(self._follow(), name="follow adapters")
        self._task.add_done_callback(_report_end)

    async def close(self) -> None:
        """Stop following, and say nothing more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        try:
            await self._database.run(lambda connection: write_reports(connection, self.replica, []))
        except DatabaseUnavailable:
            log.info("The database is away: others learn in some seconds that this replica has ended")

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            await self._look()

    async def _look(self) -> None:
        try:
            await self._take_in()
            await self._tell()
        except DatabaseUnavailable as error:
            if not self._is_away:
                log.warning("%s. The adapters stay as they are", error)
            self._is_away = True
            return
        if self._is_away:
            log.info("The database answers again; adapters are up to date")
            self._is_away = False

    async def _take_in(self) -> None:
        def read(connection: Connection) -> tuple[int, list[AdapterRecord] | None]:
            revision = read_adapter_revision(connection)
            return revision, None if revision == self._revision else list_adapters(connection)

        revision, records = await self._database.run(read)
        if records is None:
            return
        taken = self._config.models.keys() | self._config.routes.keys() | self._config.adapters.keys()
        self._warn_of({record.name for record in records if record.name in taken})
        for model, host in self._hosts.items():
            asked_for = {
                record.name: Wanted(record.artifact, record.accept)
                for record in records
                if record.model == model and record.name not in taken
            }
            host.want(configured_adapters(self._config, model) | asked_for)
        self._revision = revision

    def _warn_of(self, shadowed: set[str]) -> None:
        for name in sorted(shadowed - self._shadowed):
            log.warning("The adapter %s was loaded at runtime, but the config has given the name away since", name)
        self._shadowed = shadowed

    async def _tell(self) -> None:
        reports = self._reports()
        now = asyncio.get_running_loop().time()
        if reports == self._reported and now - self._reported_at < REPORT_S:
            return
        if self._until_known is not None and reports != self._reported:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._until_known(), KNOWN_LIMIT_S)
            if _standing(reports) != _standing(self._reports()):
                return  # it has changed again: that is for the next look
        await self._database.run(lambda connection: write_reports(connection, self.replica, reports))
        self._reported, self._reported_at = reports, now

    def _reports(self) -> list[AdapterReport]:
        return [report for host in self._hosts.values() for report in _reports(self.replica, host)]


def _reports(replica: str, host: AdapterPlace) -> list[AdapterReport]:
    """One for each adapter, and an empty one: so it is known that the replica could load some."""
    model = host.base.name
    found = [AdapterReport(replica, model, "", "", "ready", "", "", "", False)]
    for name, (status, fingerprint) in host.statuses().items():
        found.append(
            AdapterReport(
                replica=replica,
                model=model,
                name=name,
                wanted=status.wanted,
                phase=status.phase,
                detail=status.detail,
                serving=status.serving,
                fingerprint=fingerprint,
                is_configured=status.is_configured,
            )
        )
    return found


def _standing(reports: list[AdapterReport]) -> list[tuple[str, str, str, str]]:
    """What of them anybody acts on."""
    return [(report.model, report.name, report.phase, report.serving) for report in reports]


def _report_end(following: asyncio.Task[None]) -> None:
    """A bug must not leave adapters as they are in silence."""
    if not following.cancelled() and following.exception() is not None:
        log.critical("Changes of adapters are not followed any more", exc_info=following.exception())
