"""`freehold usage` on a data folder of its own."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert
from typer.testing import CliRunner, Result

from freehold.core.errors import ConfigError, NotFoundError, UserError
from freehold.core.settings import load_settings
from freehold.serve.cli.usage import app
from freehold.serve.state.database import Database, default_url, open_database
from freehold.serve.state.migrating import migrate
from freehold.serve.state.opening import open_state
from freehold.serve.state.tables import UsageRow

DAY = 1_793_491_200  # 2026-11-01T00:00:00Z
PERIOD = ("--since", "2026-11-01", "--until", "2026-11-01")
CONFIG = """
models:
  tiny:
    artifact: a
    cost: {gpuHour: 3.6}
    replaces: {model: closed-4, inputPrice: 2.5, outputPrice: 10}
gateway:
  currency: CHF
  database: DATABASE
"""


def _fill(url: str) -> None:
    database = open_database(url)
    migrate(database)
    with database.transaction() as connection:
        connection.execute(insert(UsageRow), [_usage("support", "tiny"), _usage("=sales", "other")])
    database.close()


def _usage(team: str, model: str) -> dict[str, Any]:
    counts = dict.fromkeys(("errors", "cached_tokens", "estimated_tokens"), 0)
    sums = {"requests": 2, "prompt_tokens": 400_000, "completion_tokens": 100_000, "engine_us": 500_000_000}
    key = {"hour": DAY, "key_id": "k1", "team": team, "model": model, "route": "", "endpoint": "/v1/completions"}
    return key | counts | sums | {"money": 500_000}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_a_table_from_the_data_folder(home: Path) -> None:
    _fill(default_url(load_settings().home))
    ended = run(*PERIOD)
    assert ended.exit_code == 0
    header, *lines = ended.stdout.splitlines()
    assert header.split() == [
        *("TEAM", "MODEL", "REQUESTS", "ERRORS", "PROMPT_TOKENS", "COMPLETION_TOKENS", "ENGINE_SECONDS", "MONEY"),
    ]
    assert [line.split() for line in lines] == [
        ["=sales", "other", "2", "0", "400000", "100000", "500.00", "0.50"],
        ["support", "tiny", "2", "0", "400000", "100000", "500.00", "0.50"],
    ]
    assert ended.stderr == "From 2026-11-01T00:00:00Z until 2026-11-02T00:00:00Z; money in EUR.\n"


def test_the_config_names_the_database_the_currency_and_what_is_replaced(database_url: str, folder: Path) -> None:
    _fill(database_url)
    (folder / "freehold.yaml").write_text(CONFIG.replace("DATABASE", database_url))
    found = json.loads(run(*PERIOD, "--format", "json", "--team", "support").stdout)
    assert (found["currency"], found["by"], len(found["data"])) == ("CHF", ["team", "model"], 1)
    assert (found["data"][0]["replaced_money"], found["data"][0]["saved_money"]) == (2.0, 1.5)
    assert "closed-4" in run(*PERIOD).stdout


def test_a_config_elsewhere(database_url: str, tmp_path: Path) -> None:
    _fill(database_url)
    path = tmp_path / "other.yaml"
    path.write_text(CONFIG.replace("DATABASE", database_url))
    found = json.loads(run(*PERIOD, "--config", str(path), "--by", "model", "--format", "json").stdout)
    assert [row["model"] for row in found["data"]] == ["other", "tiny"]


def test_csv_is_that_of_the_api(home: Path) -> None:
    _fill(default_url(load_settings().home))
    ended = run(*PERIOD, "--by", "team", "--format", "csv")
    header, first, second = csv.reader(io.StringIO(ended.stdout, newline=""))
    assert (header[:2], first[:2], second[:2]) == (["team", "requests"], ["'=sales", "2"], ["support", "2"])


@pytest.mark.parametrize(("option", "value"), [("--key", "k2"), ("--model", "none"), ("--team", "none")])
def test_a_filter_that_nothing_fits(home: Path, option: str, value: str) -> None:
    _fill(default_url(load_settings().home))
    assert run(*PERIOD, option, value).stdout == "No usage in this time.\n"


def test_what_is_wrong_is_said() -> None:
    refused = run("--by", "owner")
    assert isinstance(refused.exception, UserError)
    assert "a report can be by key, team" in str(refused.exception)


def test_a_config_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        open_state(tmp_path / "missing.yaml", load_settings())


def test_a_database_that_cannot_be_is_told(folder: Path) -> None:
    (folder / "freehold.yaml").write_text(CONFIG.replace("DATABASE", "mysql://x/y"))
    with pytest.raises(ConfigError, match="mysql is not supported"):
        open_state(None, load_settings())


def test_help_ends_with_examples() -> None:
    shown = run("--help").stdout
    assert "freehold usage --by model,day --since 7d" in shown


def test_state_opens_migrated(home: Path) -> None:
    database, config = open_state(None, load_settings())
    assert isinstance(database, Database) and config is None
    assert database.call(lambda connection: connection.execute(UsageRow.__table__.select()).all()) == []
    database.close()
