"""Where data comes from: files of several kinds, tables, recordings; and a digest of what was understood."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from freehold.core.dataset.reading import read_examples
from freehold.core.errors import NotFoundError, OfflineError, UserError
from freehold.core.recording import RecordedExchange, RecordingStore, new_id
from freehold.core.settings import Settings

ROWS = [
    {"messages": [{"role": "user", "content": f"q{i}"}, {"role": "assistant", "content": f"a{i}"}]} for i in range(3)
]


def write_lines(path: Path, rows: list[Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_json_lists_have_the_lines_of_their_elements(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text(json.dumps(ROWS, indent=1))
    found = read_examples([str(path)])
    starts = [i for i, line in enumerate(path.read_text().splitlines(), start=1) if line == " {"]
    assert [example.origin.line for example in found.examples] == starts
    assert not found.problems


def test_a_torn_json_list_says_where(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text('[\n{"text": "a"},\n{"text": }\n]')
    found = read_examples([str(path)])
    assert [(p.code, p.origin.line, p.column) for p in found.problems] == [("bad_json", 3, 10)]
    assert len(found.examples) == 1


def test_a_json_file_may_be_json_lines(tmp_path: Path) -> None:
    assert len(read_examples([write_lines(tmp_path / "data.json", ROWS)]).examples) == 3


def test_a_byte_order_mark_and_windows_lines_are_read_past(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + b"\r\n".join(json.dumps(row).encode() for row in ROWS))
    found = read_examples([str(path)])
    assert (len(found.examples), found.problems) == (3, ())


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_tables_are_read_row_by_row(kind: str, tmp_path: Path) -> None:
    import datasets

    path = tmp_path / f"data.{kind}"
    table = datasets.Dataset.from_list([{"instruction": "Hi", "output": f"Hello {i}"} for i in range(3)])
    getattr(table, f"to_{kind}")(str(path))
    found = read_examples([str(path)])
    assert [example.messages[-1]["content"] for example in found.examples] == ["Hello 0", "Hello 1", "Hello 2"]
    assert [example.origin.line for example in found.examples] == [1, 2, 3]


def test_padding_that_arrow_adds_is_taken_off(tmp_path: Path) -> None:
    import datasets

    rows = [
        {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y", "weight": 1}]},
        {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "z"}]},
    ]
    path = tmp_path / "data.parquet"
    datasets.Dataset.from_list(rows).to_parquet(str(path))
    found = read_examples([str(path)])
    assert not found.problems
    assert [example.messages for example in found.examples] == [tuple(row["messages"]) for row in rows]


def test_a_folder_that_datasets_knows_is_read_by_name(tmp_path: Path) -> None:
    write_lines(tmp_path / "train.jsonl", ROWS)
    write_lines(tmp_path / "test.jsonl", ROWS[:1])
    offline = Settings(home=tmp_path / "home", offline=True)
    assert len(read_examples([f"datasets:{tmp_path}"], settings=offline).examples) == 3
    assert len(read_examples([f"datasets:{tmp_path}:test"], settings=offline).examples) == 1


def test_the_hub_is_not_asked_offline(tmp_path: Path) -> None:
    with pytest.raises(OfflineError, match="datasets:acme/questions"):
        read_examples(["datasets:acme/questions"], settings=Settings(home=tmp_path, offline=True))


def record(store: RecordingStore, **changes: Any) -> None:
    now = datetime.now(UTC)
    fields: dict[str, Any] = {
        "id": new_id(now.timestamp()),
        "time": now,
        "route": "support",
        "model": "m",
        "endpoint": "/v1/chat/completions",
        "status": 200,
        "latency_s": 1.0,
        "request": {"messages": [{"role": "user", "content": "Hi"}]},
        "response": {"choices": [{"message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}]},
    }
    store.append([RecordedExchange(**fields | changes)])


def test_recordings_are_a_source_and_the_reading_is_logged(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    store = RecordingStore(settings.recordings_root)
    record(store)
    record(store, status=500)
    record(store, kind="shadow")
    found = read_examples(["recorded:support?since=2020-01-01"], settings=settings)
    assert [example.messages[-1]["content"] for example in found.examples] == ["Hello"]
    assert [(problem.code, problem.severity) for problem in found.problems] == [("left_out", "warning")]
    assert "1 of 2 records" in found.problems[0].message
    entry = store.access.entries()[-1]
    assert entry["who"].startswith("dataset:")
    assert (entry["action"], entry["route"], entry["count"]) == ("export", "support", 2)
    assert [p.code for p in read_examples(["recorded:support?since=2999-01-01"], settings=settings).errors] == ["empty"]


@pytest.mark.parametrize("name", ["recorded:support?sinse=2020-01-01", "recorded:support?since=yesterday", "data.xlsx"])
def test_what_is_no_source_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.xlsx").touch()
    with pytest.raises(UserError):
        read_examples([name], settings=Settings(home=tmp_path))


def test_all_missing_files_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"one\.jsonl, .*two\.jsonl"):
        read_examples([str(tmp_path / "one.jsonl"), str(tmp_path / "two.jsonl")])


def test_the_digest_is_of_what_was_understood(tmp_path: Path) -> None:
    as_chat = read_examples([write_lines(tmp_path / "chat.jsonl", ROWS)])
    as_alpaca = read_examples(
        [write_lines(tmp_path / "alpaca.jsonl", [{"output": f"a{i}", "instruction": f"q{i}"} for i in range(3)])]
    )
    other = read_examples([write_lines(tmp_path / "other.jsonl", ROWS[::-1])])
    assert as_chat.digest == as_alpaca.digest
    assert other.digest != as_chat.digest
    assert (as_chat.format, as_alpaca.format, as_chat.kind) == ("chat", "alpaca", "conversation")
