"""Adapters over HTTP and in the database: who may, what is refused, and what is written down."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from fixtures.adapters import add_adapter, add_base
from fixtures.policies import policies

from freehold.core.errors import NotFoundError
from freehold.core.store import Artifact, Store
from freehold.serve.adapters.desk import AdapterDesk
from freehold.serve.admin.adapters import adapters_router
from freehold.serve.audit import AuditLog
from freehold.serve.config import DeploymentConfig
from freehold.serve.gateway.pages import handle_errors
from freehold.serve.gateway.principal import Principal
from freehold.serve.state.adapters import (
    ALIVE_S,
    AdapterReport,
    NameTaken,
    get_adapter,
    list_adapters,
    list_reports,
    read_adapter_revision,
    remove_adapter,
    write_reports,
)
from freehold.serve.state.adapters import add_adapter as ask_for
from freehold.serve.state.database import Database
from freehold.serve.state.tables import AdapterReportRow

PATH = "/admin/v1/models/org/alpha/adapters"


@pytest.fixture
def base(store: Store) -> Artifact:
    return add_base(store)


@pytest.fixture
async def api(database: Database, store: Store, base: Artifact, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    fixed = add_adapter(store, base, "fixed")
    models = {
        "org/alpha": {"artifact": base.id, "adapters": {"ft:fixed": {"artifact": fixed.id}}},
        "alone": {"artifact": base.id},
    }
    routes = {"route": {"targets": {"alone": 1}}}
    config = DeploymentConfig.model_validate({"models": models, "routes": routes})
    app = FastAPI()
    handle_errors(app)

    @app.middleware("http")
    async def as_administrator(request: Request, call_next: Any) -> Any:
        request.state.principal = Principal("key_admin", is_admin=True)
        return await call_next(request)

    app.include_router(adapters_router(AdapterDesk(database, store, config), AuditLog(tmp_path / "audit.jsonl")))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:
        yield client


def _audited(tmp_path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]


@pytest.mark.slow
async def test_an_adapter_is_loaded_shown_and_unloaded(
    api: httpx.AsyncClient, store: Store, base: Artifact, tmp_path: Path
) -> None:
    support = add_adapter(store, base, seed=1)
    made = await api.post(PATH, json={"name": "ft:alpha:acme/1", "artifact": "support"})
    assert made.status_code == 201
    assert made.json() | {"created_at": 0} == {
        "object": "adapter",
        "name": "ft:alpha:acme/1",
        "model": "org/alpha",
        "artifact": support.id,
        "accept": [],
        "configured": False,
        "created_at": 0,
        "state": "loading",
        "detail": "",
        "replicas": [],
    }
    listed = (await api.get(PATH)).json()["data"]
    assert [(one["name"], one["configured"]) for one in listed] == [("ft:alpha:acme/1", False), ("ft:fixed", True)]
    assert (await api.get(f"{PATH}/ft:alpha:acme/1")).json() == made.json()
    gone = await api.delete(f"{PATH}/ft:alpha:acme/1")
    assert (gone.status_code, gone.json()["state"]) == (200, "unloading")
    assert (await api.get(f"{PATH}/ft:alpha:acme/1")).status_code == 404
    acts = [(line["act"], line["target"], line["actor"], line["outcome"]) for line in _audited(tmp_path)]
    assert acts == [
        ("adapters.load", "ft:alpha:acme/1", "key_admin", "done"),
        ("adapters.unload", "ft:alpha:acme/1", "key_admin", "done"),
    ]
    assert _audited(tmp_path)[0]["details"] == {"model": "org/alpha", "artifact": support.id}


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        (PATH, {"name": "a", "artifact": "unjudged"}, 403, "has not passed the parity gate"),
        (PATH, {"name": "a", "artifact": "nowhere"}, 404, "No artifact 'nowhere'"),
        (PATH, {"name": "ft:fixed", "artifact": "support"}, 409, "an adapter of the config has it"),
        (PATH, {"name": "org/alpha", "artifact": "support"}, 409, "a model has it"),
        (PATH, {"name": "route", "artifact": "support"}, 409, "a route has it"),
        (PATH, {"name": "no name", "artifact": "support"}, 400, "name"),
        (PATH, {"name": "a", "artifact": "support", "accept": ["quality"]}, 400, "accept"),
        (PATH, {"name": "a", "artifact": "support", "more": 1}, 400, "more"),
        ("/admin/v1/models/alone/adapters", {"name": "a", "artifact": "support"}, 403, "takes no adapters"),
        ("/admin/v1/models/beta/adapters", {"name": "a", "artifact": "support"}, 404, "No model 'beta'"),
    ],
)
async def test_what_cannot_be_is_refused_before_anything_is_written(
    api: httpx.AsyncClient,
    database: Database,
    store: Store,
    base: Artifact,
    path: str,
    body: dict[str, Any],
    status: int,
    said: str,
) -> None:
    add_adapter(store, base, seed=1)
    add_adapter(store, base, "unjudged", seed=2, verdict=None)
    answer = await api.post(path, json=body)
    assert (answer.status_code, said in answer.text) == (status, True), answer.text
    assert database.call(list_adapters) == []


async def test_an_unjudged_adapter_may_be_accepted(api: httpx.AsyncClient, store: Store, base: Artifact) -> None:
    add_adapter(store, base, "unjudged", verdict=None, seed=2)
    answer = await api.post(PATH, json={"name": "a", "artifact": "unjudged", "accept": ["parity"]})
    assert (answer.status_code, answer.json()["accept"]) == (201, ["parity"])


async def test_an_adapter_of_the_config_is_not_unloaded(api: httpx.AsyncClient, tmp_path: Path) -> None:
    answer = await api.delete(f"{PATH}/ft:fixed")
    assert (answer.status_code, "the config names it" in answer.text) == (400, True)
    assert _audited(tmp_path)[0]["outcome"] == "refused"
    assert (await api.delete(f"{PATH}/nobody")).status_code == 404


def test_a_change_moves_the_revision_and_another_artifact_takes_the_place(database: Database) -> None:
    first = database.call(lambda connection: ask_for(connection, "alpha", "support", "one", ("parity",)))
    second = database.call(lambda connection: ask_for(connection, "alpha", "support", "two"))
    assert (first.accept, second.accept) == (("parity",), ())
    assert database.call(list_adapters) == [second]
    assert database.call(read_adapter_revision) == 2
    with pytest.raises(NameTaken, match="is taken: an adapter of alpha has it"):
        database.call(lambda connection: ask_for(connection, "beta", "support", "three"))
    assert database.call(read_adapter_revision) == 2, "what is refused moves nothing"
    with pytest.raises(NotFoundError):
        database.call(lambda connection: remove_adapter(connection, "beta", "support"))
    database.call(lambda connection: remove_adapter(connection, "alpha", "support"))
    with pytest.raises(NotFoundError):
        database.call(lambda connection: get_adapter(connection, "alpha", "support"))


def _report(replica: str) -> AdapterReport:
    return AdapterReport(replica, "alpha", "support", "one", "ready", "", "one", "fh-1", False)


def test_a_replica_speaks_for_itself_and_is_forgotten_when_it_falls_silent(database: Database) -> None:
    for replica in ("one", "two"):
        database.call(lambda connection, replica=replica: write_reports(connection, replica, [_report(replica)]))  # type: ignore[misc]
    assert database.call(list_reports) == [_report("one"), _report("two")]
    database.call(lambda connection: write_reports(connection, "two", []))
    assert database.call(list_reports) == [_report("one")]
    with database.transaction() as connection:
        late = AdapterReportRow.__table__.c.reported_at
        connection.execute(AdapterReportRow.__table__.update().values(reported_at=late - ALIVE_S - 1))  # type: ignore[attr-defined]
    assert database.call(list_reports) == []


async def test_what_a_policy_forbids_is_refused_and_audited(
    database: Database, store: Store, base: Artifact, tmp_path: Path
) -> None:
    rules = policies(tmp_path, licenses={"allow": ["MIT"]})
    config = DeploymentConfig.model_validate({"models": {"alpha": {"artifact": base.id, "adapters": {}}}})
    support = add_adapter(store, base)
    app = FastAPI()
    handle_errors(app)

    @app.middleware("http")
    async def as_administrator(request: Request, call_next: Any) -> Any:
        request.state.principal = Principal("key_admin", is_admin=True)
        return await call_next(request)

    desk = AdapterDesk(database, store, config, rules)
    app.include_router(adapters_router(desk, AuditLog(tmp_path / "audit.jsonl")))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:
        answer = await client.post(
            "/admin/v1/models/alpha/adapters", json={"name": "support", "artifact": support.id, "accept": ["parity"]}
        )
    assert answer.status_code == 403
    error = answer.json()["error"]
    assert error["code"] == "policy"
    assert f"policy rule 'licenses' of {rules.files[0].path}" in error["message"]
    assert [(line["outcome"], line["details"]["error"]) for line in _audited(tmp_path)] == [("refused", "policy")]
    assert not database.call(lambda connection: list_adapters(connection))
