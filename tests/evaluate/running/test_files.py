"""The run's files: torn lines, what was spent, what is kept between runs."""

import errno
import os
from pathlib import Path

import pytest

from freehold.core.errors import EnvironmentProblem, IntegrityError, NotFoundError, RefusedError
from freehold.evaluate.results.record import Usage
from freehold.evaluate.running.cache import Cache, content_key
from freehold.evaluate.running.folder import RunFolder
from freehold.evaluate.running.journal import Journal
from freehold.evaluate.running.lines import LineFile, read_lines
from freehold.evaluate.targets.amounts import Amount
from freehold.evaluate.targets.reply import Reply

REPLY = Reply(outcome="answered", body={"message": {"content": "Hi"}}, usage=Usage(prompt=3, completion=2))


@pytest.mark.parametrize("torn", ['{"n": 3', '{"n": 3}', "x" * 200_000, "\0"])
def test_a_torn_last_line_is_taken_off(tmp_path: Path, torn: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"n":1}\n{"n":2}\n' + torn)
    assert list(read_lines(path)) == [{"n": 1}, {"n": 2}]
    with LineFile(path) as file:
        file.append({"n": 4})
    assert path.read_text() == '{"n":1}\n{"n":2}\n{"n":4}\n'


def test_a_file_that_is_but_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"n"')
    with LineFile(path) as file:
        file.append({"n": 1})
    assert list(read_lines(path)) == [{"n": 1}]


def test_a_line_in_the_midst_that_is_broken_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"n":1}\n{"n"\n{"n":2}\n')
    with pytest.raises(IntegrityError, match="jsonl:2"):
        list(read_lines(path))


def test_a_full_disk_tears_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jsonl"
    write = os.write

    def half(descriptor: int, data: memoryview) -> int:
        if len(data) < 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data[: len(data) // 2])

    with LineFile(path) as file:
        file.append({"n": 1})
        monkeypatch.setattr(os, "write", half)
        with pytest.raises(EnvironmentProblem, match="No space left"):
            file.append({"n": 2})
    assert path.read_text() == '{"n":1}\n'


def test_the_journal_knows_replies_and_what_was_spent(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        first = journal.sent("a", Amount(100, 1.0))
        journal.ended(first, Amount(5, 0.05), key="a", reply=REPLY)
        lost = journal.sent("b", Amount(100, 1.0))
        journal.ended(lost, Amount(100, 1.0), why="the connection was lost")
        journal.found("c", REPLY)
        journal.sent("d", Amount(30, 0.3))
        failed = journal.sent("e", Amount(1, 0))
        journal.ended(failed, Amount(), key="e", reply=Reply(outcome="failed", error="no"))
        spent = journal.spent
    assert (spent.tokens, spent.money) == (135, pytest.approx(1.35)), "what is on its way counts as estimated"
    with Journal(path) as again:
        assert again.spent == spent, "a killed process's requests count as they were estimated"
        assert (again.reply("a"), again.reply("c")) == (REPLY, REPLY)
        assert [again.reply(key) for key in "bde"] == [None] * 3
        assert again.sent("d", Amount(1, 0)) == 4, "no number twice"


def test_the_cache_keeps_answers_alone_for_their_owner(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    key, other = content_key("fp", {"b": 1, "a": 2}), content_key("fp", {"a": 2, "b": 1})
    assert key == other
    assert cache.get(key) is None
    cache.put(key, Reply(outcome="refused", error="400"))
    assert cache.get(key) is None
    cache.put(key, REPLY)
    assert cache.get(key) == REPLY
    (file,) = (tmp_path / "cache").glob("*/*.json")
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text("{")
    assert cache.get(key) is None, "what cannot be read is asked again"


def test_a_folder_is_made_once_and_held_once(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    assert folder.path.stat().st_mode & 0o777 == 0o700
    with folder.held(), pytest.raises(RefusedError, match="Another process"), RunFolder(folder.path).held():
        pass
    with pytest.raises(RefusedError, match="is not empty"):
        RunFolder.create(tmp_path / "run")
    with pytest.raises(NotFoundError, match="no folder of a run"):
        RunFolder.open(tmp_path / "run")
