"""`/admin/v1/usage` in the smallest application that answers it."""

import csv
import io
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from sqlalchemy import insert
from starlette.testclient import TestClient

from freehold.core.errors import FreeholdError
from freehold.serve.admin.usage import usage_router
from freehold.serve.config import parse_config
from freehold.serve.gateway.ledger.pricing import Pricing
from freehold.serve.state.database import Database
from freehold.serve.state.tables import UsageRow

DAY = 1_793_491_200  # 2026-11-01T00:00:00Z
PERIOD = {"since": "2026-11-01", "until": "2026-11-01"}
CONFIG = {
    "models": {
        "tiny": {
            "artifact": "a",
            "cost": {"gpuHour": 3.6},
            "replaces": {"model": "closed-4", "inputPrice": 2.5, "outputPrice": 10},
        }
    },
    "gateway": {"currency": "CHF"},
}


def usage(team: str, hour: int = DAY, **more: Any) -> dict[str, Any]:
    return {
        "hour": hour,
        "key_id": "k1",
        "team": team,
        "model": "tiny",
        "route": "",
        "endpoint": "/v1/completions",
        "requests": 2,
        "errors": 1,
        "prompt_tokens": 400_000,
        "cached_tokens": 1000,
        "completion_tokens": 100_000,
        "estimated_tokens": 0,
        "engine_us": 500_000_000,
        "money": 500_000,
    } | more


@pytest.fixture
def client(database: Database) -> Iterator[TestClient]:
    app = FastAPI()

    def refuse(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, FreeholdError)
        return JSONResponse({"message": str(error)}, status_code=error.http_status)

    app.add_exception_handler(FreeholdError, refuse)
    app.include_router(usage_router(database, Pricing(parse_config(CONFIG, "a test"))))
    with TestClient(app) as client:
        yield client


def store(database: Database, *rows: dict[str, Any]) -> None:
    with database.transaction() as connection:
        connection.execute(insert(UsageRow), list(rows))


def test_a_report_is_a_list_with_its_currency(database: Database, client: TestClient) -> None:
    store(database, usage("support"), usage("support", DAY + 86400))
    answer = client.get("/admin/v1/usage", params=PERIOD)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == {
        "object": "list",
        "data": [
            {
                "team": "support",
                "model": "tiny",
                "requests": 2,
                "errors": 1,
                "prompt_tokens": 400_000,
                "cached_tokens": 1000,
                "completion_tokens": 100_000,
                "estimated_tokens": 0,
                "audio_seconds": 0.0,
                "engine_seconds": 500.0,
                "money": 0.5,
                "money_per_million_tokens": 1.0,
                "replaces": "closed-4",
                "replaced_money": 2.0,
                "saved_money": 1.5,
                "cost_ratio": 0.25,
            }
        ],
        "currency": "CHF",
        "since": "2026-11-01T00:00:00Z",
        "until": "2026-11-02T00:00:00Z",
        "by": ["team", "model"],
        "total": 1,
    }


def test_filters_and_groups_come_from_the_query(database: Database, client: TestClient) -> None:
    store(database, usage("a"), usage("b"), usage("c"), usage("a", DAY + 3600))
    params = {**PERIOD, "by": "team,hour", "team": ["a", "c"]}
    rows = client.get("/admin/v1/usage", params=params).json()["data"]
    assert [(row["team"], row["hour"]) for row in rows] == [
        ("a", "2026-11-01T00:00:00Z"),
        ("a", "2026-11-01T01:00:00Z"),
        ("c", "2026-11-01T00:00:00Z"),
    ]
    (total,) = client.get("/admin/v1/usage", params={**PERIOD, "by": ""}).json()["data"]
    assert total["requests"] == 8


@pytest.mark.parametrize("team", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\tx", "\rx"])
def test_csv_runs_no_formula(database: Database, client: TestClient, team: str) -> None:
    store(database, usage(team, money=2_000_000, prompt_tokens=0, completion_tokens=0))
    answer = client.get("/admin/v1/usage", params={**PERIOD, "format": "csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    header, row = csv.reader(io.StringIO(answer.text, newline=""))
    assert header[:4] == ["team", "model", "requests", "errors"]
    assert (row[0], row[1]) == (f"'{team}", "tiny")
    assert dict(zip(header, row, strict=True))["saved_money"] == "-2.0", "a number is no formula"


def test_csv_keeps_columns_and_values_together(database: Database, client: TestClient) -> None:
    store(database, usage('Vertrieb, "Süd"'))
    params = {**PERIOD, "format": "csv", "by": "key,team"}
    (row,) = csv.DictReader(io.StringIO(client.get("/admin/v1/usage", params=params).text, newline=""))
    assert (row["key"], row["key_name"], row["team"], row["requests"]) == ("k1", "", 'Vertrieb, "Süd"', "2")


@pytest.mark.parametrize("name", ["key", "team", "model", "route", "endpoint"])
def test_a_name_that_nothing_can_have_has_no_usage(client: TestClient, name: str) -> None:
    answer = client.get("/admin/v1/usage", params={**PERIOD, name: "a\0b"})
    assert (answer.status_code, answer.json()["data"]) == (200, [])


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"by": "owner"}, "a report can be by key, team, model, route, endpoint, day, hour"),
        ({"format": "xml"}, "a report comes as json or csv"),
        ({"since": "soon"}, "'soon' is no time"),
        ({"since": "0001-01-01T00:00+14:00"}, "is no time"),
        ({"until": "9999-12-31T23:59-14:00"}, "is no time"),
    ],
)
def test_what_is_wrong_is_a_400_that_lists_the_choices(client: TestClient, params: dict[str, str], told: str) -> None:
    answer = client.get("/admin/v1/usage", params=params)
    assert answer.status_code == 400
    assert told in answer.json()["message"]


def test_a_report_comes_in_parts(client: TestClient, database: Database) -> None:
    teams = [f"team-{number:02}" for number in range(30)]
    rows = [usage(team, money=1_000_000 * (number % 7)) for number, team in enumerate(teams)]
    store(database, *rows, *(usage(team, model="renamed", money=0) for team in teams))
    query = {**PERIOD, "by": "team,day"}
    whole = client.get("/admin/v1/usage", params=query).json()
    assert (len(whole["data"]), whole["total"]) == (30, 30)
    parts = [
        client.get("/admin/v1/usage", params={**query, "limit": 7, "offset": offset}).json()
        for offset in range(0, 43, 7)
    ]
    assert [part["total"] for part in parts] == [30] * 7, "also beyond the end"
    assert [row for part in parts for row in part["data"]] == whole["data"]
    largest = client.get("/admin/v1/usage", params={**query, "limit": 7, "order": "money"}).json()["data"]
    assert largest == sorted(whole["data"], key=lambda row: -row["money"])[:7]


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 1001}, {"limit": 1, "offset": -1}])
def test_parts_have_bounds(client: TestClient, query: dict[str, int]) -> None:
    assert client.get("/admin/v1/usage", params=query).status_code == 422  # the gateway makes a 400 of it


def test_an_order_that_is_none_is_refused(client: TestClient) -> None:
    answer = client.get("/admin/v1/usage", params={"limit": 1, "order": "teams"})
    assert answer.status_code == 400
    assert "order: there is no 'teams'" in answer.json()["message"]
