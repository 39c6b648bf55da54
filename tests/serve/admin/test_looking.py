"""What the administrators' API tells of engines, budgets and acts, over the gateway that has them."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from fixtures.console import ADMIN_KEY, House, browser_of, house
from sqlalchemy import insert

from freehold.serve.state.budgets import read_budgets
from freehold.serve.state.database import Database
from freehold.serve.state.key_fields import NewKey
from freehold.serve.state.keys import KeyStore
from freehold.serve.state.tables import AllowanceRow

pytestmark = pytest.mark.slow


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as made:
        yield made


@pytest.fixture
async def client(running: House) -> AsyncIterator[httpx.AsyncClient]:
    async with browser_of(running, authorization=f"Bearer {ADMIN_KEY}") as opened:
        yield opened


async def test_engines_and_how_they_stand(running: House, client: httpx.AsyncClient) -> None:
    running.fail("tiny")
    listed = (await client.get("/admin/v1/engines")).json()["data"]
    assert [(engine["name"], engine["state"], engine["detail"]) for engine in listed] == [
        ("renamed", "ready", ""),
        ("tiny", "failed", "CUDA out of memory while loading weights"),
    ]
    assert listed[0]["artifact"] == "renamed-0123456789ab"


async def test_the_overview_knows_what_engines_say(
    running: House, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("freehold.serve.watching.engines.TIMEOUT_S", 60.0)
    running.fail("renamed")
    overview = (await client.get("/admin/v1/overview")).json()
    figures = {engine["name"]: engine["now"] for engine in overview["engines"]}
    assert (figures["tiny"]["engine_running"], figures["tiny"]["engine_queued"]) == (3.0, 2.0)
    assert figures["tiny"]["kv_usage"] == 0.375
    assert figures["renamed"]["kv_usage"] is None, "an engine that is not ready is not asked"
    assert figures["tiny"]["ttft_p95_s"] is None, "nothing was asked, and that is no latency of zero"
    assert len(overview["series"]["at"]) == 1


async def test_a_model_is_watched_by_name(running: House, client: httpx.AsyncClient) -> None:
    series = (await client.get("/admin/v1/overview?model=renamed&model=nothing")).json()["series"]
    assert list(series["models"]) == ["renamed", "nothing"]
    assert series["models"]["nothing"]["in_flight"] == [None]


def budget_of(database: Database, **limits: Any) -> str:
    record, _ = KeyStore(database).create(NewKey(name="chat", **limits))
    return record.id


def test_budgets_are_those_of_this_month(database: Database) -> None:
    limited, other = budget_of(database, monthly_money="12.5"), budget_of(database, monthly_tokens=1000)
    budget_of(database)
    month = int(datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp())
    spent = {"leased": 0, "wanted_until": 0.0}
    with database.transaction() as connection:
        connection.execute(
            insert(AllowanceRow),
            [
                {"key_id": limited, "meter": "month_money", "window_start": month, "spent": 4_000_000, **spent},
                {"key_id": limited, "meter": "month_money", "window_start": month - 86400, "spent": 9, **spent},
                {"key_id": other, "meter": "month_tokens", "window_start": month, "spent": 250, **spent},
            ],
        )
    found = {budget.key_id: budget for budget in database.call(lambda connection: read_budgets(connection, [], 10))}
    assert found.keys() == {limited, other}
    assert (found[limited].monthly_money, found[limited].used_money) == (12_500_000, 4_000_000)
    assert (found[other].monthly_tokens, found[other].used_tokens) == (1000, 250)
    KeyStore(database).revoke(other)
    one = database.call(lambda connection: read_budgets(connection, [limited, other], 10))
    assert [budget.key_id for budget in one] == [limited]


async def test_budgets_in_the_gateways_currency(running: House, client: httpx.AsyncClient) -> None:
    made = (await client.post("/admin/v1/keys", json={"name": "chat", "monthly_money": 12.5})).json()
    (budget,) = (await client.get("/admin/v1/budgets", params={"key": [made["id"], "key_of_nobody"]})).json()["data"]
    assert (budget["monthly_money"], budget["used_money"], budget["used_tokens"]) == (12.5, 0.0, None)
    assert (await client.get("/admin/v1/budgets", params={"key": "a\x00b"})).json()["data"] == []


async def test_acts_are_listed_newest_first(client: httpx.AsyncClient) -> None:
    assert (await client.get("/admin/v1/audit")).json() == {"object": "list", "data": [], "total": 0, "unreadable": 0}
    key = (await client.post("/admin/v1/keys", json={"name": "chat"})).json()["id"]
    await client.delete(f"/admin/v1/keys/{key}")
    found = (await client.get("/admin/v1/audit", params={"limit": 1})).json()
    assert (found["total"], [(act["act"], act["target"]) for act in found["data"]]) == (2, [("keys.revoke", key)])
    assert (await client.get("/admin/v1/audit?act=keys.create&since=1h&actor=env")).json()["total"] == 1
    assert (await client.get("/admin/v1/audit?actor=nobody")).json()["total"] == 0
    assert (await client.get("/admin/v1/audit?since=soon")).status_code == 400
