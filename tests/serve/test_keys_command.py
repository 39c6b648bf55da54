"""`freehold keys`, through the real group, on a data folder of its own."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from freehold.core.errors import ConfigError, FreeholdError, NotFoundError, UserError
from freehold.core.settings import load_settings
from freehold.serve.cli.keys import app
from freehold.serve.state.key_fields import InvalidKey

SECRET = re.compile(r"fh-[A-Za-z0-9_-]{43}")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder: no ./freehold.yaml of somebody else's."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(app, list(arguments))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def create(*arguments: str) -> dict[str, Any]:
    created: dict[str, Any] = json.loads(run("create", "--name", "chat", *arguments, "--format", "json").stdout)
    return created


def shown(key_id: str) -> dict[str, Any]:
    key: dict[str, Any] = json.loads(run("show", key_id, "--format", "json").stdout)
    return key


def acts() -> list[dict[str, Any]]:
    return [json.loads(line) for line in load_settings().audit_log.read_text().splitlines()]


def test_the_secret_is_alone_on_stdout() -> None:
    result = run("create", "--name", "chat")
    assert SECRET.fullmatch(result.stdout.rstrip("\n"))
    assert not SECRET.search(result.stderr)
    assert "chat" in result.stderr
    rotated = run("rotate", acts()[0]["target"], "--grace", "24h")
    assert SECRET.fullmatch(rotated.stdout.rstrip("\n"))
    assert "The old one works until" in rotated.stderr


def test_every_option_reaches_the_key() -> None:
    options = (
        "--team search --owner ada --model a --model b --route c --requests-per-minute 1 --tokens-per-minute 2 "
        "--concurrent-requests 3 --monthly-tokens 4 --monthly-money 5.25 --expires 90d --may-leave --admin"
    )
    created = create(*options.split())
    assert SECRET.fullmatch(created.pop("key"))
    assert created == shown(created["id"])
    expected = {
        "role": "admin",
        "team": "search",
        "owner": "ada",
        "label": "may-leave",
        "models": ["a", "b"],
        "routes": ["c"],
        "requests_per_minute": 1,
        "tokens_per_minute": 2,
        "concurrent_requests": 3,
        "monthly_tokens": 4,
        "monthly_money": 5.25,
    }
    assert {name: created[name] for name in expected} == expected
    assert created["expires_at"] == pytest.approx(time.time() + 90 * 86_400, abs=60)


def test_a_key_stays_inside_unless_told_otherwise() -> None:
    created = create()
    assert (created["label"], created["role"], created["expires_at"]) == ("must-stay", "app", None)


def test_listing_hides_what_was_revoked_and_every_secret() -> None:
    first, second = create("--team", "search"), create("--team", "support")
    assert run("revoke", first["id"]).stdout.splitlines()[1].split() == [first["id"], "chat", "revoked"]
    table = run("list").stdout
    assert [line.split()[0] for line in table.splitlines()] == ["ID", second["id"]]
    rows = json.loads(run("list", "--all", "--format", "json").stdout)
    assert [(row["id"], row["status"]) for row in rows] == [(first["id"], "revoked"), (second["id"], "active")]
    assert run("list", "--team", "search").stdout == "No keys. Try `freehold keys create --name chat`.\n"
    told = table + json.dumps(rows) + run("show", second["id"]).stdout
    assert not SECRET.search(told)
    assert second["hint"] in told


def test_update_changes_what_is_named() -> None:
    options = "--owner ada --model a --tokens-per-minute 2 --monthly-tokens 4 --monthly-money 5 --expires 1d"
    created = create(*options.split())
    changes = "--any-model --route c --tokens-per-minute none --requests-per-minute 7 --monthly-money none"
    run("update", created["id"], *changes.split(), "--expires", "never", "--may-leave")
    changed = shown(created["id"])
    named = ("models", "routes", "tokens_per_minute", "requests_per_minute", "monthly_money", "expires_at", "label")
    assert [changed[name] for name in named] == [None, ["c"], None, 7, None, None, "may-leave"]
    assert (changed["owner"], changed["monthly_tokens"]) == ("ada", 4)
    run("update", created["id"], "--must-stay")
    assert shown(created["id"]) == {**changed, "label": "must-stay"}


def test_show_is_made_for_people() -> None:
    created = create("--model", "a", "--model", "b")
    lines = dict(line.split(":", 1) for line in run("show", created["id"]).stdout.splitlines())
    assert lines["models"].strip() == "a, b"
    assert lines["expires_at"].strip() == "never"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d", lines["created_at"].strip())


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ("create --name x --expires soon --monthly-money much", InvalidKey, "monthly_money: .*; expires: "),
        ("create --name x --model a,b", InvalidKey, "models.0: string should match"),
        ("show key_000000000000", NotFoundError, "No key 'key_000000000000'"),
        ("revoke chat", NotFoundError, "No key 'chat'"),
        ("update ID", UserError, "Nothing to change"),
        ("update ID --tokens-per-minute many", InvalidKey, "tokens_per_minute: input should be a valid integer"),
        ("update ID --tokens-per-minute -5", InvalidKey, "tokens_per_minute: "),
        ("update ID --model a --any-model", UserError, "--model and --any-model contradict"),
        ("rotate ID --grace 1y", UserError, "--grace '1y' is not usable"),
        ("rotate ID --grace 60d", UserError, "between 0 and 2592000"),
        ("list --config missing.yaml", NotFoundError, "No config file missing.yaml"),
    ],
)
def test_refusals(arguments: str, kind: type[FreeholdError], message: str) -> None:
    key_id = create()["id"]
    with pytest.raises(kind, match=message):
        run(*arguments.replace("ID", key_id).split())


@pytest.mark.parametrize("given", [(), ("--config", "elsewhere.yaml")])
def test_the_config_says_where_the_keys_are(given: tuple[str, ...], folder: Path) -> None:
    config = f"models: {{tiny: {{artifact: a}}}}\ngateway: {{database: 'sqlite:///{folder}/keys.db'}}\n"
    (folder / (given[1] if given else "freehold.yaml")).write_text(config)
    created = create(*given)
    assert (folder / "keys.db").exists()
    assert json.loads(run("list", *given, "--format", "json").stdout)[0]["id"] == created["id"]
    assert not (load_settings().home / "gateway.db").exists()


def test_a_config_that_is_wrong_is_not_passed_over(folder: Path) -> None:
    (folder / "freehold.yaml").write_text("models: {}\n")
    with pytest.raises(ConfigError):
        run("list")


def test_every_change_is_audited_and_no_secret_is_written_down(home: Path) -> None:
    created = create("--monthly-tokens", "7")
    rotated = json.loads(run("rotate", created["id"], "--format", "json").stdout)
    run("update", created["id"], "--owner", "ada")
    run("revoke", created["id"])
    with pytest.raises(UserError):
        run("rotate", created["id"])
    assert [(act["act"], act["outcome"]) for act in acts()] == [
        ("keys.create", "done"),
        ("keys.rotate", "done"),
        ("keys.update", "done"),
        ("keys.revoke", "done"),
        ("keys.rotate", "refused"),
    ]
    assert acts()[0]["details"] == {"name": "chat", "monthly_tokens": 7}
    assert {(act["target"], act["origin"]) for act in acts()} == {(created["id"], "local")}
    assert all(act["actor"].startswith("cli:") for act in acts())
    files = [path for path in home.rglob("*") if path.is_file()]
    assert {"gateway.db", "audit.jsonl"} <= {path.name for path in files}
    for secret in (created["key"], rotated["key"]):
        assert not any(secret.encode() in path.read_bytes() for path in files)
