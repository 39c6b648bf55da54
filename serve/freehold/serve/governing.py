"""Opens what stands beside the gateway: database, keys, budgets, ledger, records, traces; and closes it in order."""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version

from fastapi import APIRouter

from freehold.core.errors import ConfigError, FreeholdError
from freehold.core.policy import policies_here
from freehold.core.settings import Settings
from freehold.core.store import Store
from freehold.serve.adapters.desk import AdapterDesk
from freehold.serve.admin.house import House, house_router
from freehold.serve.admin.router import Desks, admin_router
from freehold.serve.audit import AuditLog
from freehold.serve.batches.api import batch_pages
from freehold.serve.batches.runner import BatchRunner
from freehold.serve.config import DeploymentConfig
from freehold.serve.console.cookies import Cookies
from freehold.serve.console.oidc import client_secret_from
from freehold.serve.console.router import console_router
from freehold.serve.engines.engine import Engine
from freehold.serve.files.api import files_pages
from freehold.serve.files.purposes import rules_of
from freehold.serve.gateway.keyring import KeyRing, admin_key_from
from freehold.serve.gateway.ledger import Ledger, Pricing
from freehold.serve.gateway.media import MediaInliner, Weighing
from freehold.serve.gateway.quotas import QuotaBook, new_replica_id
from freehold.serve.gateway.services import Services
from freehold.serve.gateway.sessions import SessionRing
from freehold.serve.gateway.tracing import create_tracer
from freehold.serve.jobs.desk import JobDesk
from freehold.serve.library.library import Library
from freehold.serve.loading.desk import ModelDesk
from freehold.serve.recording import Recorder, check_redaction
from freehold.serve.state.database import Database, DatabaseUnavailable, default_url, open_database
from freehold.serve.state.keys import KeyStore
from freehold.serve.state.migrating import migrate
from freehold.serve.state.sessions import SessionStore
from freehold.serve.tuning.api import tuning_pages
from freehold.serve.watching.watch import Watch

log = logging.getLogger("freehold.gateway")

MIGRATION_RETRY_S = 1.0
READING = "read ahead"
"""Name of the task in which a gateway that has started reads what the console's pages are made of."""
_NO_ENGINES: Mapping[str, Engine] = {}


def check_governance(config: DeploymentConfig, settings: Settings, environ: Mapping[str, str] = os.environ) -> None:
    """Raise ConfigError or EnvironmentProblem for what the config asks for and this machine lacks; open nothing."""
    open_database(config.gateway.database or default_url(settings.home), environ).close()
    admin_key_from(config.gateway, environ)
    client_secret_from(config.gateway.console.oidc, environ)
    if any(route.record and route.record.redact for route in config.routes.values()):
        check_redaction()
    if settings.offline and (problems := _leaving(config)):
        raise ConfigError("The deployment cannot be served offline", problems)


def _leaving(config: DeploymentConfig) -> list[str]:
    """What would open a socket to somewhere else."""
    problems = [f"upstreams.{name}: requests would leave, and --offline forbids it" for name in config.upstreams]
    if config.gateway.media.allowed_domains:
        problems.append("gateway.media.allowedDomains: files would be fetched, and --offline forbids it")
    return problems


@asynccontextmanager
async def governance(
    config: DeploymentConfig,
    settings: Settings,
    environ: Mapping[str, str] = os.environ,
    engines: Mapping[str, Engine] = _NO_ENGINES,
    *,
    has_store: bool = True,
) -> AsyncIterator[Services]:
    """The services of one gateway process, running inside the block. Each process is a replica of its own.

    Among `engines` a price is looked up for adapters that the config does not name. Without a store here, adapters are
    judged by those that load them.
    """
    replica = new_replica_id()
    async with AsyncExitStack() as stack:
        database = open_database(config.gateway.database or default_url(settings.home), environ)
        stack.push_async_callback(asyncio.to_thread, database.close)
        try:
            await asyncio.to_thread(migrate, database)
        except DatabaseUnavailable:  # `KeyRing` says whether what is known without it is enough
            stack.push_async_callback(_cancel, asyncio.create_task(_migrate_later(database)))
        keyring = await _keyring(database, config, settings, environ, stack)
        quotas = QuotaBook(database, replica)
        await quotas.start()
        stack.push_async_callback(quotas.close)
        ledger = Ledger(database, settings.spool_root, replica)
        await ledger.start()
        stack.push_async_callback(ledger.close)
        recorder = _recorder(config, settings, stack)
        media = MediaInliner(config.gateway.media)
        weighing = Weighing(config.gateway.media)
        stack.push_async_callback(media.close)
        tracer = create_tracer(environ, version("freehold"), offline=settings.offline)
        if tracer is not None:
            stack.push_async_callback(asyncio.to_thread, tracer.shutdown)
        pricing, audit = Pricing(config, engines), AuditLog(settings.audit_log)
        watch = Watch(engines)
        stack.push_async_callback(watch.close)
        jobs = JobDesk(settings, environ, has_store=has_store)
        stack.push_async_callback(jobs.close)
        desk = _desk(database, config, settings) if has_store else AdapterDesk(database, None, config)
        models = ModelDesk(database, config, engines, runs_engines=has_store)
        library = Library(settings, engines)
        if config.gateway.console.enabled:
            stack.push_async_callback(_cancel, asyncio.create_task(_read_ahead(library), name=READING))
        yield Services(
            keyring=keyring if config.gateway.auth == "keys" else None,
            quotas=quotas,
            ledger=ledger,
            pricing=pricing,
            media=media,
            weighing=weighing,
            recorder=recorder,
            tracer=tracer,
            pages=(
                *owned_pages(config, database, settings, keyring if config.gateway.auth == "keys" else None),
                house_router(House(config, settings, database, library, jobs), keyring, audit),
                *console_pages(config, database, keyring, audit, environ),
            ),
            batches=_batch_runner(config, settings, database, keyring, ledger, replica),
            admin=admin_router(database, keyring, pricing, recorder, audit, Desks(desk, models), engines, watch),
            watch=watch,
        )


def owned_pages(
    config: DeploymentConfig, database: Database, settings: Settings, keyring: KeyRing | None
) -> tuple[APIRouter, ...]:
    """Files, fine-tuning jobs and batches, as far as the config has them."""
    rules = rules_of(config)
    if rules is None:
        return ()
    pages = [files_pages(database, rules, settings, keyring)]
    if config.tuning is not None:
        pages.append(tuning_pages(database, config.tuning, keyring))
    if config.batches is not None:
        pages.append(batch_pages(database, config.batches, rules, keyring))
    return tuple(pages)


def console_pages(
    config: DeploymentConfig, database: Database, keyring: KeyRing, audit: AuditLog, environ: Mapping[str, str]
) -> tuple[APIRouter, ...]:
    """The console, unless the config leaves it out; its sessions count for the whole API."""
    console = config.gateway.console
    if not console.enabled:
        return ()
    store = SessionStore(database, console.session_hours * 3600, console.idle_minutes * 60)
    keyring.sessions = sessions = SessionRing(store, keyring, Cookies(console).session_name)
    secret = client_secret_from(console.oidc, environ)
    return (console_router(console, database, sessions, keyring, audit, config.gateway.currency, secret),)


def _batch_runner(
    config: DeploymentConfig, settings: Settings, database: Database, keyring: KeyRing, ledger: Ledger, replica: str
) -> BatchRunner | None:
    if config.batches is None:
        return None
    whose = keyring if config.gateway.auth == "keys" else None
    return BatchRunner(config.batches, config.gateway, settings, database, whose, ledger, replica)


async def _migrate_later(database: Database) -> None:
    """Returns when it is done, however long the database is down."""
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            await asyncio.sleep(MIGRATION_RETRY_S)
            with contextlib.suppress(DatabaseUnavailable):
                await asyncio.to_thread(migrate, database)
                return


async def _read_ahead(library: Library) -> None:
    """Nobody waits for it, and what cannot be read is told to whoever asks."""
    try:
        await asyncio.to_thread(library.read_ahead)
    except (FreeholdError, OSError) as error:
        log.warning("The catalogue and the store were not read ahead: %s", error)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


def _desk(database: Database, config: DeploymentConfig, settings: Settings) -> AdapterDesk:
    return AdapterDesk(database, Store(settings.store_root), config, policies_here(settings, config.policy))


async def _keyring(
    database: Database,
    config: DeploymentConfig,
    settings: Settings,
    environ: Mapping[str, str],
    stack: AsyncExitStack,
) -> KeyRing:
    keyring = KeyRing(
        KeyStore(database),
        admin_key=admin_key_from(config.gateway, environ),
        snapshot=settings.spool_root / "keys.snapshot",
    )
    await keyring.start(must_know=config.gateway.auth == "keys")
    stack.push_async_callback(keyring.close)
    return keyring


def _recorder(config: DeploymentConfig, settings: Settings, stack: AsyncExitStack) -> Recorder:
    policies = {name: route.record for name, route in config.routes.items() if route.record}
    recorder = Recorder(settings.recordings_root, policies)
    recorder.start()
    stack.push_async_callback(asyncio.to_thread, recorder.stop)
    return recorder
