"""Duplicates, leakage, and a million lines in bounded memory."""

import json
import tracemalloc
from pathlib import Path

import pytest

from freehold.core.dataset.checking import Check


def rows(path: Path, *pairs: tuple[str, str]) -> str:
    lines = [{"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]} for q, a in pairs]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


def test_duplicates_are_found_exact_and_near(tmp_path: Path) -> None:
    name = rows(
        tmp_path / "a.jsonl",
        ("Hi", "Hello"),
        ("Hi", "Hello"),
        ("hi!", " hello."),
        ("Hi", "Bye"),
        ("2+2", "4"),
        ("2-2", "4"),
    )
    problems = Check([name]).train().problems
    assert [(p.origin.line, p.code, p.severity) for p in problems] == [
        (2, "duplicate", "warning"),
        (3, "near_duplicate", "warning"),
    ]
    assert f"same as {name}:1" in problems[0].message


def test_duplicates_are_found_across_files(tmp_path: Path) -> None:
    one, two = rows(tmp_path / "a.jsonl", ("x", "y"), ("Hi", "Hello")), rows(tmp_path / "b.jsonl", ("Hi", "Hello"))
    (problem,) = Check([one, two]).train().problems
    assert str(problem) == f"{two}:1: warning: same as {one}:2; it would count twice"


def test_leakage_into_evaluation_is_an_error(tmp_path: Path) -> None:
    train = rows(tmp_path / "train.jsonl", ("Capital of France?", "Paris"), ("Capital of Peru?", "Lima"))
    evaluation = rows(
        tmp_path / "eval.jsonl",
        ("capital of france", "PARIS"),
        ("Capital of Peru?", "Cusco"),
        ("Capital of Chad?", "?!"),
    )
    check = Check([train], [evaluation])
    assert not check.train().problems
    checked = check.evaluation()
    assert checked is not None
    assert [(p.origin.line, p.code, p.severity) for p in checked.problems] == [
        (1, "leakage", "error"),
        (2, "prompt_leakage", "warning"),
    ]
    assert (checked.lines, checked.examples) == (3, 2)


def test_without_evaluation_data_there_is_nothing_to_check(tmp_path: Path) -> None:
    check = Check([rows(tmp_path / "a.jsonl", ("Hi", "Hello"))])
    check.train()
    assert check.evaluation() is None


@pytest.mark.slow
def test_memory_grows_by_hashes_not_by_texts(tmp_path: Path) -> None:
    path = tmp_path / "large.jsonl"
    count, filler = 50_000, "x" * 1000
    with path.open("w") as stream:
        for i in range(count):
            stream.write(json.dumps({"text": f"{i} {filler}"}) + "\n")
    advanced = []
    tracemalloc.start()
    try:
        checked = Check([str(path)]).train(advance=advanced.append)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (checked.examples, checked.problems) == (count, ())
    assert sum(advanced) == path.stat().st_size
    # 200 bytes a line; the texts are five times that.
    assert peak < count * 200 + 4_000_000
