"""What a replica makes of the config and the database, and what it tells of it."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fixtures.adapters import add_adapter
from sqlalchemy import Connection

from freehold.core.store import Artifact, Store
from freehold.serve.adapters.desk import AdapterDesk
from freehold.serve.adapters.following import POLL_S, AdapterFollower
from freehold.serve.adapters.status import AdapterPhase
from freehold.serve.config import DeploymentConfig
from freehold.serve.engines.engine import EngineState
from freehold.serve.state.adapters import AdapterReport
from freehold.serve.state.adapters import add_adapter as ask_for
from freehold.serve.state.database import Database, open_database
from freehold.serve.state.migrating import migrate

pytestmark = pytest.mark.slow

Start = Callable[..., Any]
"""The fixture `start`: a context with a bench in it."""


def _config(base: Artifact, **adapters: Artifact) -> DeploymentConfig:
    named = {name: {"artifact": adapter.id} for name, adapter in adapters.items()}
    routes = {"route": {"targets": {"alpha": 1}}}
    return DeploymentConfig.model_validate(
        {"models": {"alpha": {"artifact": base.id, "adapters": named}}} | {"routes": routes}
    )


async def _until(claim: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not claim():
            await asyncio.sleep(0.02)


async def test_what_is_asked_for_is_loaded_beside_what_the_config_names_and_told(
    start: Start, store: Store, base: Artifact, database: Database
) -> None:
    fixed, support = add_adapter(store, base, "fixed"), add_adapter(store, base, seed=1)
    config = _config(base, fixed=fixed)
    desk = AdapterDesk(database, store, config)
    async with start() as bench:
        follower = AdapterFollower(database, {"alpha": bench.host}, config)
        await follower.start()
        assert desk.replicas("alpha") == 1
        assert desk.load("alpha", "support", "support").phase is AdapterPhase.LOADING
        await _until(lambda: [view.phase for view in desk.list()] == [AdapterPhase.READY] * 2)
        fixed_view, support_view = desk.list("alpha")
        assert (fixed_view.is_configured, support_view.is_configured) == (True, False)
        assert support_view.artifact == support.id, "a name is resolved when it is asked for"
        assert [report.replica for report in support_view.reports] == [follower.replica]
        assert support_view.reports[0].fingerprint == bench.engines["support"].fingerprint
        assert bench.engines["fixed"].state is bench.engines["support"].state is EngineState.READY
        assert desk.unload("alpha", "support").phase is AdapterPhase.UNLOADING
        await _until(lambda: "support" not in bench.engines)
        assert [view.name for view in desk.list("alpha")] == ["fixed"]
        await follower.close()
        assert desk.replicas("alpha") == 0, "a replica that ends says so"


@pytest.mark.parametrize("limit_s", [3600.0, 0.05])
async def test_what_answers_is_told_when_the_gateway_knows_of_it(
    limit_s: float, start: Start, store: Store, base: Artifact, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("freehold.serve.adapters.following.KNOWN_LIMIT_S", limit_s)
    add_adapter(store, base, seed=1)
    config = _config(base)
    desk = AdapterDesk(database, store, config)
    known, asked = asyncio.Event(), asyncio.Event()

    async def until_known() -> None:
        if "support" in bench.engines and bench.status("support").phase is AdapterPhase.READY:
            asked.set()
            await known.wait()

    async with start() as bench:
        follower = AdapterFollower(database, {"alpha": bench.host}, config, until_known)
        await follower.start()
        desk.load("alpha", "support", "support")
        await asyncio.wait_for(asked.wait(), 60)
        if limit_s > 1:
            await asyncio.sleep(2 * POLL_S)
            assert desk.get("alpha", "support").phase is AdapterPhase.LOADING
            known.set()
        await _until(lambda: desk.get("alpha", "support").phase is AdapterPhase.READY)
        await follower.close()


async def test_what_has_changed_while_the_gateway_was_waited_for_is_not_told(
    start: Start, store: Store, base: Artifact, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, AdapterPhase]] = []

    def write(connection: Connection, replica: str, reports: list[AdapterReport]) -> None:
        told.extend((report.name, AdapterPhase(report.phase)) for report in reports if report.name)

    monkeypatch.setattr("freehold.serve.adapters.following.write_reports", write)
    monkeypatch.setattr("freehold.serve.adapters.following.KNOWN_LIMIT_S", 3600.0)
    support, other = add_adapter(store, base, seed=1), add_adapter(store, base, "other", seed=2)
    replaced = asyncio.Event()

    async def until_known() -> None:
        if not replaced.is_set() and (await bench.settled("support")).phase is AdapterPhase.READY:
            bench.want(support=other)
            replaced.set()

    async with start() as bench:
        bench.want(support=support)
        follower = AdapterFollower(database, {"alpha": bench.host}, _config(base, support=support), until_known)
        await follower.start()
        assert replaced.is_set()
        assert told == []
        await follower.close()


async def test_a_failure_is_told_with_its_reason_until_another_artifact_helps(
    start: Start, store: Store, base: Artifact, database: Database
) -> None:
    config = _config(base)
    damaged, whole = add_adapter(store, base, "damaged"), add_adapter(store, base, "whole", seed=1)
    desk = AdapterDesk(database, store, config)
    async with start() as bench:
        follower = AdapterFollower(database, {"alpha": bench.host}, config)
        await follower.start()
        (damaged.path / "adapter_model.safetensors").write_bytes(b"x")
        desk.load("alpha", "support", damaged.id)
        await _until(lambda: desk.get("alpha", "support").phase is AdapterPhase.FAILED)
        assert "is damaged" in desk.get("alpha", "support").detail
        desk.load("alpha", "support", whole.id)
        await _until(lambda: desk.get("alpha", "support").phase is AdapterPhase.READY)
        await follower.close()


async def test_a_name_that_the_config_has_given_away_is_left_alone(
    start: Start, store: Store, base: Artifact, database: Database
) -> None:
    support = add_adapter(store, base)
    config = _config(base)
    for name in ("alpha", "route"):
        database.call(lambda connection, name=name: ask_for(connection, "alpha", name, support.id))  # type: ignore[misc]
    async with start() as bench:
        follower = AdapterFollower(database, {"alpha": bench.host}, config)
        await follower.start()
        assert bench.engines == {"alpha": bench.engine}
        await follower.close()


async def test_a_database_that_is_away_takes_nothing_and_is_caught_up_with_later(
    start: Start, store: Store, base: Artifact, tmp_path: Path
) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'late.db'}")  # without tables yet
    fixed, support = add_adapter(store, base, "fixed"), add_adapter(store, base, seed=1)
    config = _config(base, fixed=fixed)
    async with start() as bench:
        bench.want(fixed=fixed)
        follower = AdapterFollower(database, {"alpha": bench.host}, config)
        await follower.start()
        assert (await bench.settled("fixed")).phase is AdapterPhase.READY
        await asyncio.to_thread(migrate, database)
        desk = AdapterDesk(database, store, config)
        desk.load("alpha", "support", support.id)
        await _until(lambda: desk.get("alpha", "support").phase is AdapterPhase.READY)
        await follower.close()
    database.close()
