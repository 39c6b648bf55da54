"""Usage reports, against sums made by hand in Python."""

import random
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import insert

from freehold.core.errors import UserError
from freehold.serve.state import usage as usage_module
from freehold.serve.state.comparing import Comparison
from freehold.serve.state.database import Database
from freehold.serve.state.moments import parse_moment, show_moment
from freehold.serve.state.money import TokenRates
from freehold.serve.state.tables import KeyRow, UsageRow
from freehold.serve.state.usage import UsageLine, UsageQuery, parse_query, usage_report
from freehold.serve.state.usage_rows import UsageReport

DAY = 1_793_491_200  # 2026-11-01T00:00:00Z
NOW = DAY + 86400 * 10.0
SUMS = (
    "requests",
    "errors",
    "prompt_tokens",
    "cached_tokens",
    "completion_tokens",
    "estimated_tokens",
    "engine_us",
    "money",
)
KEYS = ("hour", "key_id", "team", "model", "route", "endpoint")
COMPARISONS = {
    "small": Comparison("closed-mini", TokenRates(150_000, 600_000), True),
    "large": Comparison("closed-4", TokenRates(2_500_000, 10_000_000), True),
    "unpriced": Comparison("closed-4", TokenRates(2_500_000, 10_000_000), False),
}
MODELS = ("small", "large", "unpriced", "own", "closed/big")


def row(
    *, hour: int = DAY, model: str = "small", key: str = "k1", team: str = "support", **sums: int
) -> dict[str, Any]:
    named = {"hour": hour, "key_id": key, "team": team, "model": model, "route": "", "endpoint": "/v1/completions"}
    return named | dict.fromkeys(SUMS, 0) | sums


def store(database: Database, rows: list[dict[str, Any]]) -> None:
    with database.transaction() as connection:
        connection.execute(insert(UsageRow), rows)


def report(database: Database, query: UsageQuery) -> list[UsageLine]:
    return database.call(lambda connection: usage_report(connection, query, COMPARISONS))


def _random_rows(seed: int) -> list[dict[str, Any]]:
    chance = random.Random(seed)
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for _ in range(600):
        key = (
            DAY + 3600 * chance.randrange(72),
            chance.choice(("", "k1", "k2")),
            chance.choice(("support", "sales", "")),
            chance.choice(MODELS),
            chance.choice(("", "chat")),
            chance.choice(("/v1/completions", "/v1/embeddings")),
        )
        rows[key] = dict(zip(KEYS, key, strict=True)) | {name: chance.randrange(10**9) for name in SUMS}
    return list(rows.values())


def _value(usage: dict[str, Any], name: str) -> Any:
    if name == "day":
        moment = datetime.fromtimestamp(usage["hour"], UTC).replace(hour=0)
        return int(moment.timestamp())
    return usage["key_id" if name == "key" else name]


def _by_hand(rows: list[dict[str, Any]], query: UsageQuery) -> dict[tuple[Any, ...], dict[str, int]]:
    found: dict[tuple[Any, ...], dict[str, int]] = defaultdict(lambda: dict.fromkeys(SUMS, 0))
    for usage in rows:
        inside = query.since < usage["hour"] + 3600 and usage["hour"] < query.until
        if inside and all(_value(usage, name) in values for name, values in query.filters.items()):
            sums = found[tuple(_value(usage, name) for name in query.by)]
            for name in SUMS:
                sums[name] += usage[name]
    return dict(found)


@pytest.mark.parametrize(
    ("by", "filters"),
    [
        (("team", "model"), {}),
        (("model",), {"team": ("sales", "support")}),
        (("day",), {"model": ("small",)}),
        (("hour", "key"), {}),
        (("route", "endpoint", "day"), {"key": ("k1",), "endpoint": ("/v1/embeddings",)}),
        (("key", "team", "model", "route", "endpoint", "day", "hour"), {"route": ("",)}),
        ((), {}),
    ],
)
def test_sums_are_those_made_by_hand(
    database: Database, by: tuple[str, ...], filters: dict[str, tuple[str, ...]]
) -> None:
    rows = _random_rows(11)
    store(database, rows)
    query = UsageQuery(DAY + 5 * 3600 + 1, DAY + 60 * 3600, by, filters)
    lines = report(database, query)
    groups = [tuple(line.group[name] for name in by) for line in lines]
    assert groups == sorted(groups)
    sums = [{name: getattr(line, name) for name in SUMS} for line in lines]
    assert dict(zip(groups, sums, strict=True)) == _by_hand(rows, query)


def test_the_comparison_by_hand(database: Database) -> None:
    million = 1_000_000
    store(
        database,
        [
            # 2 million prompt tokens at 0.15 and half a million completions at 0.60: 0.60, for which we paid 0.20
            row(model="small", prompt_tokens=2 * million, completion_tokens=million // 2, money=200_000),
            # 4 * 2.50 + 1 * 10 = 20, for which we paid 5
            row(model="large", prompt_tokens=4 * million, completion_tokens=million, money=5 * million),
            row(model="own", prompt_tokens=million, completion_tokens=0, money=700_000),
        ],
    )
    query = UsageQuery(DAY, DAY + 3600, ("model",))
    large, own, small = report(database, query)
    assert (large.replaced_money, large.saved_money, large.cost_ratio) == (20 * million, 15 * million, 0.25)
    assert large.money_per_million_tokens == 1.0  # 5 for 5 million tokens
    assert (small.replaced_money, small.saved_money) == (600_000, 400_000)
    assert (own.replaced_money, own.saved_money, own.cost_ratio) == (None, None, None)
    (total,) = report(database, UsageQuery(DAY, DAY + 3600, ()))
    assert total.money == 5_900_000
    assert (total.replaced_money, total.compared_money) == (20_600_000, 5_200_000), "own tokens are not compared"
    assert total.replaces == {"closed-mini", "closed-4"}


def test_no_saving_is_claimed_where_a_cost_is_unknown(database: Database) -> None:
    store(database, [row(model=name, prompt_tokens=1_000_000, money=10) for name in ("small", "large", "unpriced")])
    (total,) = report(database, UsageQuery(DAY, DAY + 3600, ()))
    assert (total.replaced_money, total.saved_money, total.cost_ratio) == (150_000 + 2 * 2_500_000, None, None)


def test_sums_that_outgrow_the_databases_integers_with_prices(database: Database) -> None:
    tokens = 10**15
    store(database, [row(hour=DAY + 3600 * hour, model="large", prompt_tokens=tokens) for hour in range(50)])
    (total,) = report(database, UsageQuery(DAY, DAY + 86400 * 3, ()))
    assert total.replaced_money == 50 * tokens * 2_500_000 // 10**6


def _key(identifier: str, name: str) -> dict[str, Any]:
    columns = {column.name: None for column in KeyRow.__table__.columns}
    return columns | {
        "id": identifier,
        "name": name,
        "role": "app",
        "may_tune": False,
        "secret_hash": identifier.encode(),
        "hint": "",
        "team": "",
        "owner": "",
        "label": "must-stay",
        "created_at": 0.0,
        "revision": 1,
    }


def test_keys_go_by_name_too(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(insert(KeyRow), [_key("k1", "chatbot"), _key("k2", "batch")])
    store(database, [row(key="k1", requests=1), row(key="k2", requests=2), row(key="gone", requests=4)])
    groups = [line.group for line in report(database, UsageQuery(DAY, DAY + 3600, ("key",)))]
    assert groups == [
        {"key": "gone", "key_name": ""},
        {"key": "k1", "key_name": "chatbot"},
        {"key": "k2", "key_name": "batch"},
    ]
    filters = {"key": ("chatbot", "gone")}
    assert [line.requests for line in report(database, UsageQuery(DAY, DAY + 3600, (), filters))] == [5]


def test_a_report_without_end_is_refused(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage_module, "MAX_ROWS", 3)
    store(database, [row(team=team) for team in "abcd"])
    with pytest.raises(UserError, match="more than 3 rows"):
        report(database, UsageQuery(DAY, DAY + 3600, ("team",)))
    assert len(report(database, UsageQuery(DAY, DAY + 3600, ("model",)))) == 1


def test_a_query_from_what_was_typed() -> None:
    query = parse_query("team, model,team", "2026-11-01", "2026-11-02", {"team": ["a"], "key": []}, NOW)
    assert query == UsageQuery(DAY, DAY + 2 * 86400, ("team", "model"), {"team": ("a",)})
    assert parse_query("", None, None, {}, NOW) == UsageQuery(int(NOW) - 30 * 86400, int(NOW) + 1, ())


@pytest.mark.parametrize(
    ("by", "since", "until", "told"),
    [
        ("team,owner", None, None, "a report can be by key, team, model, route, endpoint, day, hour"),
        ("team", "yesterday", None, "since: 'yesterday' is no time"),
        ("team", None, "2026-13-01", "until: '2026-13-01' is no time"),
        ("team", "999999w", None, "is no time"),
        ("team", "2026-11-05", "2026-11-04", "not before until"),
    ],
)
def test_a_query_that_makes_no_sense(by: str, since: str | None, until: str | None, told: str) -> None:
    with pytest.raises(UserError, match=told):
        parse_query(by, since, until, {}, NOW)


@pytest.mark.parametrize(
    ("text", "is_end", "shown"),
    [
        ("7d", False, "2026-11-04T00:00:00Z"),
        ("36h", True, "2026-11-09T12:00:00Z"),
        ("2w", False, "2026-10-28T00:00:00Z"),
        ("2026-11-03", False, "2026-11-03T00:00:00Z"),
        ("2026-11-03", True, "2026-11-04T00:00:00Z"),
        ("2026-11-03T08:30", True, "2026-11-03T08:30:00Z"),
        ("2026-11-03T08:30+02:00", False, "2026-11-03T06:30:00Z"),
    ],
)
def test_moments_are_in_utc(text: str, is_end: bool, shown: str) -> None:
    assert show_moment(parse_moment(text, NOW, name="since", is_end=is_end)) == shown


def test_every_row_has_the_reports_columns(database: Database) -> None:
    store(database, [row(prompt_tokens=3, engine_us=1_500_000, money=1_234_567)])
    query = UsageQuery(DAY, DAY + 3600, ("key", "day", "model"))
    found = UsageReport(query, report(database, query), "EUR")
    (shown,) = found.rows()
    assert tuple(shown) == found.columns
    assert found.columns[:4] == ("key", "key_name", "day", "model")
    assert (shown["day"], shown["engine_seconds"], shown["money"]) == ("2026-11-01T00:00:00Z", 1.5, 1.234567)
