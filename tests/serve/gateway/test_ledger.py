"""The ledger: every entry reaches the database once, whatever dies in between."""

import asyncio
import logging
import os
import random
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from fixtures.databases import PostgresServer
from sqlalchemy import Connection, select

from freehold.core.errors import EnvironmentProblem
from freehold.serve.gateway.ledger import Ledger, UsageEntry
from freehold.serve.gateway.ledger.entry import LARGEST, from_line, to_line
from freehold.serve.gateway.ledger.folders import take_over
from freehold.serve.gateway.ledger.ledger import SEGMENT_LIMIT_BYTES
from freehold.serve.state.database import Database, DatabaseUnavailable, open_database
from freehold.serve.state.migrating import migrate
from freehold.serve.state.tables import BatchRow, UsageRow

Result = TypeVar("Result")
HOUR = 1_800_000_000 // 3600 * 3600
NEVER = 3600.0
"""Seconds between flushes, where the test flushes by itself."""


def entry(number: int = 1, **fields: object) -> UsageEntry:
    known = {"time": HOUR + 5.0, "key_id": "k1", "team": "support", "model": "tiny", "route": "chat", "status": 200}
    return UsageEntry(**{**known, "endpoint": "/v1/completions", "completion_tokens": number, **fields})  # type: ignore[arg-type]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@asynccontextmanager
async def running(
    database: Database, root: Path, replica: str = "replica", flush_s: float = NEVER
) -> AsyncIterator[Ledger]:
    ledger = Ledger(database, root, replica, flush_s)
    await ledger.start()
    try:
        yield ledger
    finally:
        await ledger.close()


def usage(database: Database) -> list[dict[str, object]]:
    with database.transaction() as connection:
        rows = connection.execute(select(*UsageRow.__table__.columns).order_by(*UsageRow.__table__.primary_key))
        return [dict(row) for row in rows.mappings()]


def counted(database: Database) -> tuple[int, int]:
    """Requests and completion tokens in the whole table."""
    rows = usage(database)
    return sum(int(str(row["requests"])) for row in rows), sum(int(str(row["completion_tokens"])) for row in rows)


def batches(database: Database) -> list[str]:
    with database.transaction() as connection:
        return list(connection.scalars(select(BatchRow.id)))


def leftovers(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path != root / "lock")


async def test_entries_become_sums_by_hour_and_key(database: Database, root: Path) -> None:
    async with running(database, root) as ledger:
        told = {"prompt_tokens": 10, "cached_tokens": 4, "engine_us": 100, "money": 3, "audio_seconds": 30}
        ledger.record(entry(7, estimated_tokens=1, **told))
        ledger.record(entry(8, prompt_tokens=20, status=502, engine_us=50, money=2))
        ledger.record(entry(9, time=HOUR + 3600.0))
        await ledger.flush()
        ledger.record(entry(1, prompt_tokens=1))
        await ledger.flush()
        first, second = usage(database)
    assert first == {
        "hour": HOUR,
        "key_id": "k1",
        "team": "support",
        "model": "tiny",
        "route": "chat",
        "endpoint": "/v1/completions",
        "requests": 3,
        "errors": 1,
        "prompt_tokens": 31,
        "cached_tokens": 4,
        "completion_tokens": 16,
        "estimated_tokens": 1,
        "engine_us": 150,
        "money": 5,
        "audio_seconds": 30,
    }
    assert (second["hour"], second["requests"], second["completion_tokens"]) == (HOUR + 3600, 1, 9)


async def test_a_clean_close_leaves_nothing_behind(database: Database, root: Path) -> None:
    async with running(database, root) as ledger:
        ledger.record(entry())
        await ledger.flush()
        ledger.record(entry())
    assert counted(database) == (2, 2)
    assert (leftovers(root), batches(database)) == ([], [])


async def test_ids_of_deleted_segments_are_forgotten(database: Database, root: Path) -> None:
    async with running(database, root) as ledger:
        for _ in range(5):
            ledger.record(entry())
            await ledger.flush()
        assert len(batches(database)) == 1


async def test_the_task_flushes_by_itself(database: Database, root: Path) -> None:
    posted = asyncio.Event()

    class Watched(Database):
        async def run(self, work: Callable[[Connection], Result]) -> Result:
            result = await super().run(work)
            posted.set()
            return result

    async with running(Watched(database.engine), root, flush_s=0.01) as ledger:
        ledger.record(entry())
        await asyncio.wait_for(posted.wait(), 10)
        assert counted(database) == (1, 1)


class LosesAnswers(Database):
    """The first commits arrive, but nobody hears of it."""

    def __init__(self, database: Database, lost: int) -> None:
        super().__init__(database.engine)
        self._lost = lost

    async def run(self, work: Callable[[Connection], Result]) -> Result:
        result = await super().run(work)
        if self._lost:
            self._lost -= 1
            raise DatabaseUnavailable("The database is not available", why="the connection was lost at the commit")
        return result


async def test_an_uncertain_commit_counts_once(database: Database, root: Path) -> None:
    async with running(LosesAnswers(database, 2), root) as ledger:
        ledger.record(entry(3))
        for _ in range(2):
            with pytest.raises(DatabaseUnavailable):
                await ledger.flush()
            assert counted(database) == (1, 3)
        ledger.record(entry(4))
        await ledger.flush()
        await ledger.flush()
        assert counted(database) == (2, 7)


async def test_a_segment_that_was_counted_but_not_deleted_counts_once(
    database: Database, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(database, root, "replica", NEVER)
    await ledger.start()
    ledger.record(entry(5))
    with monkeypatch.context() as patch:  # as if killed between commit and deletion
        patch.setattr(Path, "unlink", _refuse)
        await ledger.flush()
        await ledger.close()
    assert counted(database) == (1, 5)
    segment, empty = sorted(root.glob("*/*.jsonl"))
    assert segment.stat().st_size > empty.stat().st_size == 0
    assert len(batches(database)) == 1
    async with running(database, root, "other") as ledger:
        await ledger.flush()
        assert counted(database) == (1, 5)
    assert (leftovers(root), batches(database)) == ([], [])


def _refuse(path: Path, missing_ok: bool = False) -> None:
    raise PermissionError(13, "Permission denied", str(path))


RECORDER = """
import asyncio, sys
from pathlib import Path
from freehold.serve.gateway.ledger import Ledger, UsageEntry
from freehold.serve.state.database import open_database

async def main(url, root, first):
    ledger = Ledger(open_database(url), Path(root), "recorder", flush_s=0.005)
    await ledger.start()
    for number in range(int(first), 10**9):
        entry = UsageEntry(1.8e9, "k1", "support", "tiny", "", "/v1/completions", 200, completion_tokens=number)
        ledger.record(entry)
        print(number, flush=True)
        if number % 7 == 0:
            await asyncio.sleep(0)

asyncio.run(main(*sys.argv[1:]))
"""


def _record_until_killed(url: str, root: Path, first: int, lines: int) -> int:
    """Number of the last entry that the killed process had recorded for certain."""
    command = [sys.executable, "-c", RECORDER, url, str(root), str(first)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(lines):
            last = process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        for line in process.stdout:
            last = line if line.endswith("\n") else last
    return int(last)


@pytest.mark.slow
async def test_what_was_recorded_survives_a_kill(database: Database, root: Path) -> None:
    url = database.engine.url.render_as_string(hide_password=False)
    chance = random.Random(7)
    recorded = 0
    for _ in range(3):
        last = await asyncio.to_thread(_record_until_killed, url, root, recorded + 1, chance.randint(50, 1500))
        async with running(database, root) as ledger:
            await ledger.flush()
        requests, tokens = counted(database)
        assert requests - last in (0, 1), "one may have been written whose number was not printed any more"
        assert tokens == requests * (requests + 1) // 2
        recorded = requests
    assert (leftovers(root), batches(database)) == ([], [])


def _dead_folder(root: Path, content: bytes) -> None:
    folder = root / "dead.00000000"
    folder.mkdir(parents=True)
    (folder / "00000001.jsonl").write_bytes(content)


@pytest.mark.parametrize("kept", range(1, len(to_line(entry())) - 1))
def test_a_line_is_an_entry_only_when_whole(kept: int) -> None:
    line = to_line(entry())
    assert from_line(line) == entry()
    assert from_line(line[:kept]) is None
    assert from_line(line[:kept] + b"\n") is None


async def test_torn_lines_are_skipped_and_counted(
    database: Database, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    damaged = to_line(entry(100)).replace(b'"support"', b'"suqport"')
    _dead_folder(root, to_line(entry(1)) + damaged + b"\0\0\0\n" + to_line(entry(2)) + to_line(entry(4))[:-9])
    async with running(database, root) as ledger:
        await ledger.flush()
        assert ledger.unreadable_lines == 3
    assert counted(database) == (2, 3)
    assert "Skipped 3 torn line(s)" in caplog.text


async def test_what_the_database_would_refuse_holds_nothing_up(database: Database, root: Path) -> None:
    async with running(database, root) as ledger:
        ledger.record(entry(10**30, team="t" * 500, model="a\0b", endpoint="/" * 100))
        ledger.record(entry(-5, team="\ud800"))
        await ledger.flush()
    broken, long = sorted(usage(database), key=lambda row: len(str(row["team"])))
    assert (len(str(long["team"])), long["model"], long["completion_tokens"]) == (128, "ab", LARGEST)
    assert (broken["team"], broken["completion_tokens"]) == ("?", 0)


async def test_a_living_workers_folder_is_left_alone(database: Database, root: Path) -> None:
    async with running(database, root, "one") as one:
        one.record(entry(1))
        async with running(database, root, "one") as other:
            other.record(entry(10))
            await other.flush()
            assert counted(database) == (1, 10)
            assert take_over(root) == []
        await one.flush()
        assert counted(database) == (2, 11)


@pytest.mark.slow
async def test_many_workers_lose_and_double_nothing(database: Database, root: Path) -> None:
    workers = [Ledger(database, root, f"worker-{number}", 0.005) for number in range(6)]
    await asyncio.gather(*(worker.start() for worker in workers))
    chance = random.Random(3)
    for number in range(1, 601):
        chance.choice(workers).record(entry(number, team=chance.choice("abc"), model=chance.choice("xyz")))
        if number % 50 == 0:
            await asyncio.gather(*(worker.flush() for worker in chance.sample(workers, 3)))
    await asyncio.gather(*(worker.close() for worker in workers))
    assert counted(database) == (600, 600 * 601 // 2)
    assert (leftovers(root), batches(database)) == ([], [])


class Events(logging.Handler):
    """Wakes a test at each line of the ledger's log."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: asyncio.Queue[str] = asyncio.Queue()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.put_nowait(record.getMessage())


@pytest.fixture
def events() -> Iterator[Events]:
    handler = Events()
    logging.getLogger("freehold.ledger").addHandler(handler)
    yield handler
    logging.getLogger("freehold.ledger").removeHandler(handler)


@pytest.mark.slow
async def test_an_outage_of_the_database_is_told_once_and_made_up_for(
    postgres_server: PostgresServer, root: Path, events: Events
) -> None:
    database = open_database(postgres_server.create())
    migrate(database)
    async with running(database, root, flush_s=0.01) as ledger:
        ledger.record(entry(1))
        await ledger.flush()
        await asyncio.to_thread(postgres_server.stop)
        try:
            ledger.record(entry(2))
            assert "kept on the disk" in await asyncio.wait_for(events.lines.get(), 20)
            assert ledger.is_behind
            for number in (3, 4):
                ledger.record(entry(number))
                with pytest.raises(DatabaseUnavailable):
                    await ledger.flush()
            files = list(root.glob("*/*.jsonl"))
            assert len(files) == 2, "the one that waits, and the one that is written to"
        finally:
            await asyncio.to_thread(postgres_server.start)
        assert "takes usage again" in await asyncio.wait_for(events.lines.get(), 20)
        await ledger.flush()
        assert counted(database) == (4, 10)
        assert not ledger.is_behind and events.lines.empty()
    database.close()


async def test_a_start_and_a_stop_without_database_keep_everything(database: Database, root: Path) -> None:
    nowhere = open_database("postgresql://freehold@127.0.0.1:1/none")
    async with running(nowhere, root, "first") as ledger:
        ledger.record(entry(1))
    async with running(nowhere, root, "second") as ledger:
        ledger.record(entry(2))
    nowhere.close()
    async with running(database, root) as ledger:
        await ledger.flush()
    assert counted(database) == (2, 3)
    assert leftovers(root) == []


async def test_a_long_outage_makes_few_files(root: Path) -> None:
    nowhere = open_database("postgresql://freehold@127.0.0.1:1/none")
    async with running(nowhere, root) as ledger:
        wide = entry(team="t" * 100_000)
        for _ in range(3 * SEGMENT_LIMIT_BYTES // 100_000):
            ledger.record(wide)
            if random.random() < 0.1:
                with pytest.raises(DatabaseUnavailable):
                    await ledger.flush()
        sizes = [path.stat().st_size for path in root.glob("*/*.jsonl")]
        assert len(sizes) <= 5 and max(sizes) < 2 * SEGMENT_LIMIT_BYTES
    nowhere.close()


@contextmanager
def files_up_to(size_bytes: int) -> Iterator[None]:
    """Files cannot grow larger; the write that reaches the limit is cut short, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_keeps_entries_in_memory(
    database: Database, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(database, root) as ledger:
        with files_up_to(1000):
            for number in range(1, 101):
                ledger.record(entry(number))
        assert 80 < ledger.unwritten_entries < 100
        ledger.record(entry(1000))
        await ledger.flush()
        assert counted(database) == (101, 5050 + 1000)
        assert ledger.unreadable_lines == 0
    assert caplog.text.count("cannot be written") == 1


async def test_a_disk_that_takes_no_new_file_is_used_again_when_it_does(
    database: Database, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    async with running(database, root) as ledger:
        ledger.record(entry(1))
        with monkeypatch.context() as patch:
            patch.setattr("freehold.serve.gateway.ledger.spool.os.open", full)
            ledger._spool.seal()  # type: ignore[union-attr]
        ledger.record(entry(2))
        await ledger.flush()
        assert ledger.unwritten_entries == 1
        await ledger.flush()
        ledger.record(entry(4))
        assert ledger.unwritten_entries == 1
    assert counted(database) == (3, 7)


async def test_a_spool_that_cannot_be_made_is_told_at_the_start(database: Database, tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file")
    with pytest.raises(EnvironmentProblem, match="usage spool"):
        await Ledger(database, tmp_path / "spool", "replica").start()


async def test_a_replica_that_returns_to_an_empty_disk_is_not_taken_for_its_former_self(
    database: Database, tmp_path: Path
) -> None:
    for life in range(3):
        ledger = Ledger(database, tmp_path / str(life), "pod-0", NEVER)
        await ledger.start()
        ledger.record(entry(1))
        await ledger.flush()  # and is gone, with its disk, before its last id is forgotten
    assert counted(database) == (3, 3)
