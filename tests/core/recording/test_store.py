"""The store of recordings: names on disk, rights, retention, and the log of who read them."""

import json
import os
import signal
import stat
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from fixtures.recordings import DAY_1, recorded

from freehold.core.errors import NotFoundError, UserError
from freehold.core.recording import Filter, RecordedExchange, RecordingStore, new_id
from freehold.core.recording.days import route_folder, route_name
from freehold.core.recording.format import time_of_id


@pytest.fixture
def store(tmp_path: Path) -> RecordingStore:
    return RecordingStore(tmp_path / "recordings")


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_was_appended_is_read_back(store: RecordingStore) -> None:
    first, second = recorded(), recorded(kind="shadow", shadow_of="x", ttft_s=0.1, response={"n": [1, None, "é\u2028"]})
    store.append([first, second])
    assert list(store.export("me")) == [first, second]
    assert store.get("me", second.id) == second


def test_a_file_is_of_one_route_and_one_utc_day(store: RecordingStore) -> None:
    before_midnight = datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC)
    store.append([recorded(before_midnight), recorded(before_midnight + timedelta(seconds=1)), recorded(route="a/b")])
    found = sorted(str(path.relative_to(store.root)) for path in store.root.rglob("*.jsonl"))
    assert found == ["a%2Fb/2026-03-01.jsonl", "support/2026-03-01.jsonl", "support/2026-03-02.jsonl"]
    listed = [(file.route, file.day, file.count()) for file in store.files("me")]
    assert listed[0] == ("a/b", date(2026, 3, 1), 1)


@pytest.mark.parametrize("route", ["..", ".", ".hidden", "a/../../b", "x~y", "ü", "a%2Fb", "a b\n"])
def test_no_route_leaves_the_folder_and_every_name_comes_back(route: str) -> None:
    folder = route_folder(route)
    assert "/" not in folder and not folder.startswith(".")
    assert route_name(folder) == route


def test_routes_never_share_a_folder() -> None:
    names = ["a" * 180, "a" * 181, "a" * 400, "a" * 399 + "b", "a~b", "a%7Eb", "A", "a"]
    folders = [route_folder(name) for name in names]
    assert len(set(folders)) == len(names)
    assert max(map(len, folders)) <= 255


def test_nobody_else_may_read(store: RecordingStore) -> None:
    store.root.mkdir(mode=0o755)
    previous = os.umask(0)
    try:
        store.append([recorded()])
        store.keep_for("support", 30)
        list(store.export("me"))
    finally:
        os.umask(previous)
    assert {_mode(path) for path in store.root.rglob("*") if path.is_file()} == {0o600}
    assert {_mode(path) for path in [store.root, *store.root.rglob("*")] if path.is_dir()} == {0o700}


def test_a_file_that_was_opened_to_others_is_closed_to_them(store: RecordingStore) -> None:
    store.append([recorded()])
    (path,) = store.root.rglob("2026*.jsonl")
    path.chmod(0o644)
    store.append([recorded()])
    assert _mode(path) == 0o600


def test_a_torn_last_line_is_skipped_and_the_next_append_starts_afresh(store: RecordingStore) -> None:
    kept = recorded()
    store.append([kept])
    (path,) = store.root.rglob("2026*.jsonl")
    with path.open("ab") as stream:
        stream.write(recorded().to_line()[:-20])
    reading = store.export("me")
    assert (list(reading), reading.count, reading.skipped) == ([kept], 1, 1)
    after = recorded()
    store.append([after])
    reading = store.export("me")
    assert (list(reading), reading.skipped) == ([kept, after], 1)


KILLED_WRITER = """
import sys
from pathlib import Path
from fixtures.recordings import recorded
from freehold.core.recording import RecordingStore
store = RecordingStore(Path(sys.argv[1]))
record = recorded(response={"text": "x" * 3_000_000})
print("writing", flush=True)
while True:
    store.append([record])
"""


@pytest.mark.slow
def test_a_writer_killed_in_mid_write_leaves_a_readable_file(store: RecordingStore) -> None:
    root = Path(__file__).parents[3]
    environment = os.environ | {"PYTHONPATH": f"{root / 'core'}:{root / 'tests'}"}
    for _ in range(3):
        writer = subprocess.Popen(
            [sys.executable, "-c", KILLED_WRITER, str(store.root)], stdout=subprocess.PIPE, env=environment
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"writing\n"
        before = sum(path.stat().st_size for path in store.root.rglob("2026*.jsonl"))
        while sum(path.stat().st_size for path in store.root.rglob("2026*.jsonl")) == before:
            assert writer.poll() is None, "the writer died by itself"
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        after = recorded()
        store.append([after])
        *earlier, last = store.export("me")
        assert last == after
        assert all(record.route == "support" for record in earlier)


def test_a_full_disk_leaves_no_half_line(store: RecordingStore, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = recorded()
    store.append([kept])
    (path,) = store.root.rglob("2026*.jsonl")
    size = path.stat().st_size
    write = os.write

    def half_then_full(descriptor: int, data: bytes) -> int:
        monkeypatch.setattr(os, "write", full)
        return write(descriptor, bytes(data)[:10])

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", half_then_full)
    with pytest.raises(OSError, match="No space"):
        store.append([recorded()])
    monkeypatch.undo()
    assert path.stat().st_size == size


def test_a_day_stays_while_its_youngest_record_may_be_kept(store: RecordingStore) -> None:
    days = [date(2026, 3, number) for number in (1, 2, 3)]
    store.append([recorded(datetime(day.year, day.month, day.day, 12, tzinfo=UTC)) for day in days])
    assert store.expire("support", 1, date(2026, 3, 2)) == []
    deleted = store.expire("support", 1, date(2026, 3, 4))
    assert [file.day for file in deleted] == days[:2]
    assert [file.day for file in store.files("me")] == days[2:]
    assert store.expire("other", 1, date(2026, 3, 9)) == []
    (entry,) = [entry for entry in store.access.entries() if entry["action"] == "delete"]
    assert (entry["who"], entry["route"], entry["count"]) == ("retention", "support", 2)


def test_retention_holds_for_a_route_that_left_the_config(store: RecordingStore) -> None:
    store.append([recorded(route="gone"), recorded(route="never-told")])
    store.keep_for("gone", 7)
    assert store.expire_all(date(2026, 3, 8)) == []
    assert [file.route for file in store.expire_all(date(2026, 3, 9))] == ["gone"]
    assert [file.route for file in store.files("me")] == ["never-told"]


def test_filters(store: RecordingStore) -> None:
    later = DAY_1 + timedelta(days=1)
    answer, shadow, second = recorded(), recorded(kind="shadow"), recorded(later)
    store.append([answer, shadow, second, recorded(route="other")])
    assert list(store.export("me", Filter("support", kind="shadow"))) == [shadow]
    assert list(store.export("me", Filter("support", since=later.date()))) == [second]
    assert list(store.export("me", Filter("support", until=DAY_1.date()))) == [answer, shadow]


def test_every_read_is_logged_before_the_data_comes(store: RecordingStore) -> None:
    exchange = recorded()
    store.append([exchange])
    store.files("ann", Filter("support"))
    store.get("bob", exchange.id)
    reading = store.export("cid", Filter("support", since=DAY_1.date(), kind="answer"))
    logged = [
        {name: entry[name] for name in entry if name != "time"} for entry in store.access.entries()
    ]  # nothing was iterated over yet
    assert logged == [
        {"who": "ann", "action": "list", "route": "support", "count": 1},
        {"who": "bob", "action": "show", "route": "support", "count": 1, "id": exchange.id},
        {
            "who": "cid",
            "action": "export",
            "route": "support",
            "count": 1,
            "since": "2026-03-01",
            "kind": "answer",
        },
    ]
    assert list(reading) == [exchange]
    assert all(datetime.fromisoformat(entry["time"]).tzinfo for entry in store.access.entries())


def test_what_cannot_be_logged_cannot_be_read(store: RecordingStore) -> None:
    exchange = recorded()
    store.append([exchange])
    store.access.path.mkdir()
    with pytest.raises(OSError):
        store.export("me")
    with pytest.raises(OSError):
        store.get("me", exchange.id)
    with pytest.raises(OSError):
        store.delete("me", "support")
    assert list(store.root.rglob("2026*.jsonl"))


def test_a_reading_holds_what_was_logged_and_no_more(store: RecordingStore) -> None:
    store.append([recorded()])
    reading = store.export("me")
    store.append([recorded()])
    assert len(list(reading)) == reading.count == 1


def test_an_attempt_to_read_what_is_not_there_is_logged_too(store: RecordingStore) -> None:
    missing = new_id(DAY_1.timestamp())
    with pytest.raises(NotFoundError, match=missing):
        store.get("me", missing)
    assert store.access.entries()[0]["id"] == missing


BEYOND_THE_CALENDAR = "ffffffff-ffff-7fff-bfff-ffffffffffff"
"""Well-formed, of the year 10889."""


@pytest.mark.parametrize(
    "identifier", ["", "x", "../access", "00000000-0000-4000-8000-000000000000", BEYOND_THE_CALENDAR]
)
def test_what_is_no_id_is_refused(store: RecordingStore, identifier: str) -> None:
    with pytest.raises(UserError, match="not the id"):
        store.get("me", identifier)


def test_ids_sort_by_time_and_know_it() -> None:
    moment = datetime(2026, 3, 1, 23, 59, 59, 999000, tzinfo=UTC)
    earlier, later = new_id(moment.timestamp()), new_id(moment.timestamp() + 0.001)
    assert earlier < later
    assert time_of_id(earlier) == moment
    assert new_id(1.0) != new_id(1.0)


def test_delete_takes_the_days_before_one(store: RecordingStore) -> None:
    store.append([recorded(), recorded(DAY_1 + timedelta(days=1))])
    assert [file.day for file in store.delete("me", "support", date(2026, 3, 2))] == [date(2026, 3, 1)]
    assert len(store.delete("me", "support")) == 1
    assert list(store.export("me")) == []


def test_a_lone_surrogate_is_written_all_the_same() -> None:
    exchange = recorded(response=json.loads('{"text": "\\ud83d"}'))
    read = RecordedExchange.from_line(exchange.to_line())
    assert read is not None and read.response == {"text": "?"}


@pytest.mark.parametrize("text", ['{"\\ud83d": {"\\ud83d": [{"\\ud83d": 1}]}}', '{"a":' * 400 + "1" + "}" * 400])
def test_whatever_json_was_sent_is_written_and_read(text: str) -> None:
    exchange = recorded(request=json.loads(text))
    read = RecordedExchange.from_line(exchange.to_line())
    assert read is not None
    assert json.dumps(read.request) == json.dumps(json.loads(text)).replace("\\ud83d", "?")


@pytest.mark.parametrize("line", [b"", b"null", b"[]", b'{"id": 1}', b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_record_is_none(line: bytes) -> None:
    assert RecordedExchange.from_line(line) is None


def test_fields_of_a_later_version_are_read_past() -> None:
    exchange = recorded()
    line = exchange.to_line()[:-2] + b',"from_the_future":1}\n'
    assert RecordedExchange.from_line(line) == exchange
