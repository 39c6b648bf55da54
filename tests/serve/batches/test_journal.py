"""What a journal holds after kills, and that nothing of it is counted twice."""

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from freehold.serve.batches import holding
from freehold.serve.batches.holding import HeldBatch, Interrupted
from freehold.serve.batches.journal import Journal, Record
from freehold.serve.gateway.ledger import UsageEntry
from freehold.serve.state.batch_work import keep_batch, let_go_of_batch, take_batch
from freehold.serve.state.batches import NewBatch, create_batch
from freehold.serve.state.database import Database, DatabaseUnavailable


def record(line: int, *, tokens: int = 1, is_success: bool = True) -> Record:
    entry = UsageEntry(1_700_000_000.0, "key", "team", "tiny", "", "/v1/chat/completions", 200, tokens)
    return Record(line, is_success, msgspec.Raw(b'{"line":%d}' % line), [entry])


def opened(path: Path) -> Journal:
    journal = Journal(path)
    journal.open()
    return journal


def test_what_was_written_is_read_in_its_order(tmp_path: Path) -> None:
    journal = opened(tmp_path / "batches" / "b.jsonl")
    placed = [journal.append(record(number)) for number in (3, 1, 2)]
    assert [each.record.line for each in journal.read()] == [3, 1, 2]
    assert [each[1:] for each in journal.read()] == [each[1:] for each in placed]
    assert bytes(journal.at(placed[1].start, placed[1].end).answer) == b'{"line":1}'
    assert oct(journal.path.stat().st_mode)[-3:] == "600"


@pytest.mark.parametrize("kept", [1, 5, 9, 30])
def test_a_torn_record_counts_for_nothing_and_swallows_nothing(tmp_path: Path, kept: int) -> None:
    journal = opened(tmp_path / "b.jsonl")
    whole = journal.append(record(1))
    journal.append(record(2))
    journal.close()
    os.truncate(journal.path, whole.end + kept)
    again = opened(journal.path)
    again.append(record(3))
    assert [each.record.line for each in again.read()] == [1, 3]


def test_a_changed_byte_is_noticed(tmp_path: Path) -> None:
    journal = opened(tmp_path / "b.jsonl")
    journal.append(record(1, tokens=5))
    journal.append(record(2))
    journal.path.write_bytes(journal.path.read_bytes().replace(b",5,", b",6,", 1))
    assert [each.record.line for each in journal.read()] == [2]


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = opened(tmp_path / "b.jsonl")
    journal.append(record(1))
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:10]))
    with pytest.raises(OSError, match="the disk took 10 of"):
        journal.append(record(2))
    monkeypatch.undo()
    journal.append(record(3))
    assert [each.record.line for each in journal.read()] == [1, 3]
    assert journal.size_bytes == journal.path.stat().st_size


Hold = Callable[..., HeldBatch]


@pytest.fixture
def hold(database: Database, tmp_path: Path) -> Hold:
    """Takes the one batch there is."""
    new = NewBatch("team:a", "key", "/v1/chat/completions", "file-x", {"metadata": None})
    batch_id = database.call(lambda connection: create_batch(connection, new, 60.0, 5)).id

    def take(runner: str, lease_s: float = 60.0) -> HeldBatch:
        batch = database.call(lambda connection: take_batch(connection, runner, lease_s))
        assert batch is not None and batch.id == batch_id
        held = HeldBatch(database, batch, Journal(tmp_path / f"{batch_id}.jsonl"), runner, lease_s)
        held.open()
        return held

    return take


async def test_usage_is_counted_once_whoever_counts_it(database: Database, hold: Hold) -> None:
    first = hold("first")
    first.record(record(1, tokens=10))
    await first.beat()
    first.record(record(2, tokens=100))  # and then it is killed
    database.call(lambda connection: let_go_of_batch(connection, first.batch.id, "first"))
    second = hold("second")
    assert sorted(second.answers) == [1, 2]
    for _ in range(3):
        await second.settle()
    counted = database.call(sums_ever)
    assert counted == (2, 110)


async def test_a_commit_whose_answer_was_lost_counts_nothing_twice(
    database: Database, hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = hold("first")
    held.record(record(1, tokens=10))
    run = database.run

    async def lose(work):  # type: ignore[no-untyped-def]
        await run(work)
        raise DatabaseUnavailable("The connection broke after the commit")

    monkeypatch.setattr(database, "run", lose)
    with pytest.raises(DatabaseUnavailable):
        await held.beat()
    monkeypatch.undo()
    held.record(record(2, tokens=100))
    await held.settle()
    assert database.call(sums_ever) == (2, 110)


async def test_the_guard_against_counting_twice_is_what_does_it(
    database: Database, hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "count_journal", lambda *_: True)  # what the row says is not looked at
    first = hold("first")
    first.record(record(1, tokens=10))
    await first.beat()
    database.call(lambda connection: let_go_of_batch(connection, first.batch.id, "first"))
    await hold("second").beat()
    assert database.call(sums_ever) == (2, 20), "the test above would not have noticed"


async def test_who_has_lost_the_lease_writes_nothing(hold: Hold, database: Database) -> None:
    held = hold("first", lease_s=0.05)
    database.call(lambda connection: let_go_of_batch(connection, held.batch.id, "first"))
    import asyncio

    await asyncio.sleep(0.06)
    second = hold("second")
    with pytest.raises(Interrupted):
        held.record(record(1))
    with pytest.raises(Interrupted):
        await held.beat()
    second.record(record(1))
    assert [each.record.line for each in second.journal.read()] == [1]


def test_a_batch_has_one_holder_until_the_lease_is_over(hold: Hold, database: Database) -> None:
    held = hold("first", lease_s=60.0)
    assert database.call(lambda connection: take_batch(connection, "second", 60.0)) is None
    assert database.call(lambda connection: keep_batch(connection, held.batch.id, "second", 60.0)) is None
    kept = database.call(lambda connection: keep_batch(connection, held.batch.id, "first", -1.0))
    assert kept is not None
    taken = database.call(lambda connection: take_batch(connection, "second", 60.0))
    assert taken is not None and taken.runner == "second"


async def test_an_answer_that_comes_twice_stays_the_first_one(hold: Hold) -> None:
    held = hold("first")
    held.record(record(1))
    held.record(record(1, is_success=False))
    assert (held.completed, held.answers[1].is_success) == (1, True)


def sums_ever(connection) -> tuple[int, int]:  # type: ignore[no-untyped-def]
    """Requests and prompt tokens of the whole usage table."""
    from sqlalchemy import func, select

    from freehold.serve.state.tables import UsageRow

    row = connection.execute(select(func.sum(UsageRow.requests), func.sum(UsageRow.prompt_tokens))).one()
    return int(row[0] or 0), int(row[1] or 0)
