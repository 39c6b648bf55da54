"""Takes batches from the queue and works on them by this process's relay, some at a time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from freehold.core.errors import FreeholdError
from freehold.core.settings import Settings
from freehold.serve.batches.capacity import Capacity
from freehold.serve.batches.work import DAY_S, BatchWork, Workshop
from freehold.serve.config import BatchesConfig, GatewayConfig
from freehold.serve.files.api import file_storage
from freehold.serve.files.sweeping import SWEEP_S, sweep_once
from freehold.serve.gateway.ledger import Ledger
from freehold.serve.gateway.principal import ANONYMOUS, Principal
from freehold.serve.state.batch_work import forget_old_batches, take_batch, unfinished_batches
from freehold.serve.state.batches import BatchRecord
from freehold.serve.state.database import Database, DatabaseUnavailable
from freehold.serve.state.loads import Load, loads_elsewhere, tell_loads

if TYPE_CHECKING:
    from freehold.serve.engines.engine import Engine
    from freehold.serve.gateway.keyring import KeyRing
    from freehold.serve.gateway.metrics import GatewayMetrics
    from freehold.serve.gateway.relay import Relay

log = logging.getLogger("freehold.batches")
FOLDER = "batches"


class BatchRunner:
    """The batches of one gateway process, which starts it with its relay, retires it when it drains, and closes it."""

    def __init__(
        self,
        config: BatchesConfig,
        gateway: GatewayConfig,
        settings: Settings,
        database: Database,
        keyring: "KeyRing | None",
        ledger: Ledger,
        replica: str,
        *,
        lease_s: float = 30.0,
        heartbeat_s: float = 1.0,
    ) -> None:
        self.lease_s = lease_s
        self.heartbeat_s = heartbeat_s
        self._config = config
        self._gateway = gateway
        self._home: Path = settings.home / FOLDER
        self._database = database
        self._storage = file_storage(settings)
        self._keyring = keyring
        self._ledger = ledger
        self.replica = replica
        self._works: dict[BatchWork, asyncio.Task[None]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._is_retired = False
        self._has_heard = asyncio.Event()
        """How busy other processes are is known, as far as it can be."""

    def start(self, relay: "Relay", engines: "Mapping[str, Engine]", metrics: "GatewayMetrics") -> None:
        """Begin to work, by this relay."""
        capacity = Capacity(engines, relay.table, metrics, self._config)
        shop = Workshop(
            database=self._database,
            config=self._config,
            home=self._home,
            storage=self._storage,
            most_body_bytes=self._gateway.max_body_bytes,
            relay=relay,
            capacity=capacity,
            holder=self._holder,
            take_in_keys=self._take_in_keys,
            account=self._ledger.record,
            runner=self.replica,
            lease_s=self.lease_s,
            heartbeat_s=self.heartbeat_s,
        )
        self._is_retired = False
        loops: list[Callable[[], Awaitable[None]]] = [lambda: self._tell(capacity), self._sweep]
        if self._config.concurrent_batches:
            loops.append(lambda: self._seek(shop))
        for loop in loops:
            task = asyncio.ensure_future(loop())
            task.add_done_callback(_report_end)
            self._tasks.append(task)

    def retire(self) -> None:
        """Start no further line: what is asked has until the end of the drain."""
        self._is_retired = True
        for work in self._works:
            work.retire()

    async def close(self) -> None:
        """Leave what is not over to others."""
        tasks = [*self._tasks, *self._works.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks = []

    async def _holder(self, key_id: str) -> Principal:
        return ANONYMOUS if self._keyring is None else await self._keyring.holder(key_id)

    async def _take_in_keys(self) -> None:
        if self._keyring is not None:
            await self._keyring.refresh()

    async def _seek(self, shop: Workshop) -> None:
        """Take one batch after the other, until cancelled."""
        await self._has_heard.wait()
        while True:
            batch: BatchRecord | None = None
            if not self._is_retired and len(self._works) < self._config.concurrent_batches:
                at_work = [work.batch_id for work in self._works]
                try:
                    batch = await shop.database.run(
                        partial(take_batch, runner=shop.runner, lease_s=shop.lease_s, but_not=at_work)
                    )
                except DatabaseUnavailable as error:
                    log.warning("%s. Batches wait for it", error)
            if batch is None:
                await asyncio.sleep(shop.heartbeat_s)
                continue
            work = BatchWork(shop, batch)
            self._works[work] = asyncio.create_task(self._run(work, batch.id))

    async def _run(self, work: BatchWork, batch_id: str) -> None:
        try:
            await work.run()
        except* (FreeholdError, OSError) as group:
            log.warning("%s waits: %s", batch_id, "; ".join(str(error) for error in group.exceptions))
        except* Exception as group:
            log.critical("%s is not worked on any more", batch_id, exc_info=group)
        finally:
            self._works.pop(work, None)

    async def _tell(self, capacity: Capacity) -> None:
        """Say what clients want of this process's models, and hear it of the others', while there are batches."""

        def exchange(connection: Connection) -> Mapping[str, Load]:
            if not unfinished_batches(connection):
                return {}
            tell_loads(connection, self.replica, loads)
            return loads_elsewhere(connection, self.replica)

        while True:
            loads = capacity.loads()
            with suppress(DatabaseUnavailable):  # what was heard last holds
                capacity.elsewhere = await self._database.run(exchange)
            self._has_heard.set()
            await asyncio.sleep(self.heartbeat_s)

    async def _sweep(self) -> None:
        """Every hour: files that have expired, batches long over, journals that a crash left."""
        while True:
            await sweep_once(self._database, self._storage)
            try:
                await self._database.run(
                    lambda connection: forget_old_batches(connection, self._config.retention_days * DAY_S)
                )
                going_on = await self._database.run(unfinished_batches)
            except DatabaseUnavailable as error:
                log.warning("%s. Old batches wait for it", error)
            else:
                await asyncio.to_thread(_remove_journals, self._home, going_on)
            await asyncio.sleep(SWEEP_S)


def _remove_journals(home: Path, going_on: set[str]) -> None:
    for path in home.glob("batch_*.jsonl"):
        if path.stem not in going_on:
            path.unlink(missing_ok=True)


def _report_end(task: "asyncio.Future[None]") -> None:
    """A bug must not leave batches waiting in silence."""
    if not task.cancelled() and task.exception() is not None:
        log.critical("Batches are not worked on any more", exc_info=task.exception())
