"""`freehold recordings`: what it prints, and that every reading leaves its trace."""

import json
import os
import pwd
from datetime import timedelta
from pathlib import Path

import pytest
from fixtures.recordings import DAY_1, recorded
from typer.testing import CliRunner, Result

from freehold.core.errors import NotFoundError, UserError
from freehold.core.recording import RecordedExchange, RecordingStore
from freehold.core.settings import load_settings
from freehold.serve.cli.recordings import app

ME = f"cli:{pwd.getpwuid(os.getuid()).pw_name}"


def _run(*arguments: str) -> Result:
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def store(home: Path) -> RecordingStore:
    return RecordingStore(load_settings().recordings_root)


@pytest.fixture
def records(store: RecordingStore) -> list[RecordedExchange]:
    """An answer, its shadow, one of the next day, and one that is no chat."""
    answer = recorded()
    later = DAY_1 + timedelta(days=1)
    found = [answer, recorded(kind="shadow", shadow_of=answer.id), recorded(later), recorded(later, status=500)]
    store.append(found)
    return found


def _lines(result: Result) -> list[dict[str, object]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_list_counts_by_route_and_day(store: RecordingStore, records: list[RecordedExchange]) -> None:
    store.append([recorded(route="other")])
    rows = json.loads(_run("list", "--format", "json").stdout)
    assert [(row["route"], row["day"], row["records"]) for row in rows] == [
        ("other", "2026-03-01", 1),
        ("support", "2026-03-01", 2),
        ("support", "2026-03-02", 2),
    ]
    table = _run("list", "--route", "other").stdout.splitlines()
    assert table[0].split() == ["ROUTE", "DAY", "RECORDS", "SIZE"]
    assert len(table) == 2


def test_an_empty_list_says_how_to_record(home: Path) -> None:
    assert "record:" in _run("list").stdout
    assert json.loads(_run("list", "--format", "json").stdout) == []


def test_show_prints_one_record(records: list[RecordedExchange]) -> None:
    shown = json.loads(_run("show", records[1].id).stdout)
    assert RecordedExchange.model_validate(shown) == records[1]


def test_show_refuses_what_is_not_there(records: list[RecordedExchange]) -> None:
    with pytest.raises(NotFoundError):
        _run("show", recorded().id)
    with pytest.raises(UserError):
        _run("show", "nonsense")


def test_export_writes_records_to_stdout_and_the_count_to_stderr(records: list[RecordedExchange]) -> None:
    result = _run("export", "--route", "support", "--kind", "answer", "--until", "2026-03-01")
    assert [line["id"] for line in _lines(result)] == [records[0].id]
    assert "1 record(s)" in result.stderr
    assert len(_lines(_run("export", "--route", "support"))) == 4
    assert len(_lines(_run("export", "--route", "support", "--since", "2026-03-02"))) == 2


def test_export_as_chat_leaves_out_what_teaches_nothing(records: list[RecordedExchange]) -> None:
    result = _run("export", "--route", "support", "--kind", "answer", "--as", "chat")
    assert _lines(result) == 2 * [
        {
            "messages": [
                {"role": "user", "content": "The capital of France?"},
                {"role": "assistant", "content": "Paris"},
            ]
        }
    ]
    assert "2 record(s)" in result.stderr and "1 left out" in result.stderr


def test_export_says_what_it_skipped(store: RecordingStore, records: list[RecordedExchange]) -> None:
    with next(store.root.rglob("2026-03-01.jsonl")).open("ab") as stream:
        stream.write(b'{"torn": ')
    result = _run("export", "--route", "support")
    assert len(_lines(result)) == 4
    assert "1 line(s) skipped" in result.stderr


def test_a_wrong_day_is_refused_with_its_shape(home: Path) -> None:
    with pytest.raises(UserError, match="yesterday") as raised:
        _run("export", "--route", "support", "--since", "yesterday")
    assert "YYYY-MM-DD" in raised.value.next_step


def test_delete_prints_first_and_deletes_when_told(store: RecordingStore, records: list[RecordedExchange]) -> None:
    planned = _run("delete", "--route", "support", "--before", "2026-03-02")
    assert "WOULD_DELETE" in planned.stdout and "Add --yes" in planned.stderr
    assert len(store.files("test")) == 2
    rows = json.loads(
        _run("delete", "--route", "support", "--before", "2026-03-02", "--yes", "--format", "json").stdout
    )
    assert [(row["day"], row["records"]) for row in rows] == [("2026-03-01", 2)]
    assert [file.day.day for file in store.files("test")] == [2]


def test_access_shows_who_did_what(
    records: list[RecordedExchange], store: RecordingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "somebody-else")
    monkeypatch.setenv("USER", "somebody-else")
    _run("list")
    _run("show", records[0].id)
    _run("export", "--route", "support")
    _run("delete", "--route", "support")
    _run("delete", "--route", "support", "--yes")
    rows = json.loads(_run("access", "--format", "json").stdout)
    assert [(row["who"], row["action"], row["count"]) for row in rows] == [
        (ME, "list", 2),
        (ME, "show", 1),
        (ME, "export", 4),
        (ME, "delete", 2),
    ]
    assert _run("access").stdout.splitlines()[0].split() == ["TIME", "WHO", "ACTION", "ROUTE", "COUNT"]


@pytest.mark.parametrize("command", [[], ["list"], ["show"], ["export"], ["delete"], ["access"]])
def test_every_help_ends_with_an_example(command: list[str]) -> None:
    lines = _run(*command, "--help").stdout.rstrip().splitlines()
    assert lines[-1].strip(" │╰─╯").startswith("freehold recordings") or "freehold recordings" in lines[-2]
