"""Runs that end before their end: killed, interrupted, torn, and gone on with."""

import itertools
import json
import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fixtures.evaluating import write_suite
from fixtures.journeys import freehold, running
from fixtures.stub_openai import Planted, StubOpenAI, question

from freehold.evaluate.results.reading import read_answers

pytestmark = pytest.mark.slow

KEY = "KEY_OF_THE_STUB"
COUNT = 30
LINES = [{"prompt": f"Say {n}", "expected": str(n), "id": str(n)} for n in range(COUNT)]


@pytest.fixture
def stub() -> Iterator[StubOpenAI]:
    with StubOpenAI(lambda body: Planted(question(body).split()[-1])).listening() as stub:
        yield stub


@pytest.fixture
def suite(tmp_path: Path, stub: StubOpenAI, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(KEY, "first")
    target = {"baseUrl": stub.url, "model": "m", "concurrency": 2, "apiKeyFrom": {"env": KEY}}
    return write_suite(tmp_path, LINES, targets={"a": target, "b": target}, request={"maxTokens": 4})


def command(suite: Path, *more: str) -> tuple[str, ...]:
    return freehold("evaluate", str(suite), "--no-cache", *more)


def resume(suite: Path, run: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command(suite, "--resume", str(run), "--format", "json"), capture_output=True, text=True, check=False
    )


def hold(stub: StubOpenAI, after: int) -> threading.Event:
    """So many answers are given, and the rest held back until the event, so that the end comes in the midst of some."""
    gate, honest, numbers = threading.Event(), stub.answer, itertools.count()

    def holding(body: dict[str, Any]) -> Planted:
        planted = honest(body)
        planted.waits = gate if next(numbers) >= after else None
        return planted

    stub.answer = holding
    return gate


def events(run: Path) -> Counter[str]:
    """How many requests were sent and ended, by the run's own journal."""
    return Counter(json.loads(line)["event"] for line in (run / "journal.jsonl").read_text().splitlines())


def require_whole(
    suite: Path, run: Path, ended: "subprocess.CompletedProcess[str]", targets: int = 2
) -> dict[str, Any]:
    assert ended.returncode == 0, ended.stderr
    answers = read_answers(run)
    assert len(answers) == targets * COUNT
    assert len({(one.prompt, one.target) for one in answers}) == targets * COUNT
    assert {one.outcome for one in answers} == {"answered"}
    assert {one.score for one in answers} == {1.0}
    document: dict[str, Any] = json.loads(ended.stdout)
    return document


@pytest.mark.parametrize("after", [1, 7, 40])
def test_kill_9_loses_no_answer_and_asks_none_twice(
    suite: Path, stub: StubOpenAI, tmp_path: Path, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest, gate = stub.answer, hold(stub, after)
    run = tmp_path / "run"
    with running(*command(suite, "--out", str(run)), env={}) as process:
        stub.until(after + 2)  # one target may be through
        # The server has answered those; the last may still be on its way to the journal.
        journal = run / "journal.jsonl"
        while journal.read_text().count('"reply"') < after:
            assert process.process.poll() is None, process.text
            time.sleep(0.02)
        process.process.send_signal(signal.SIGKILL)
        process.process.wait()
    kept, sent = journal.read_text().count('"reply"'), events(run)
    assert kept == after
    gate.set()
    stub.answer = honest
    monkeypatch.setenv(KEY, "second")  # what the killed process sent may still be read by the stub
    document = require_whole(suite, run, resume(suite, run))
    asked = Counter(body["authorization"] for body in stub.asked)
    assert asked["Bearer second"] == 2 * COUNT - kept, "exactly what was not answered"
    assert document["means"][0]["score"] == 1.0
    # What was on its way when the process died has been sent twice, and both count.
    assert (open_ones := sent["sent"] - sent["ended"]) >= asked["Bearer first"] - kept
    assert events(run)["sent"] == 2 * COUNT + open_ones


def test_torn_files_are_mended(stub: StubOpenAI, tmp_path: Path) -> None:
    # One at a time: the last line of both files is of one exchange, and what is torn of one is nowhere else.
    target = {"baseUrl": stub.url, "model": "m", "concurrency": 1}
    suite = write_suite(tmp_path, LINES, targets={"a": target}, request={"maxTokens": 4})
    run = tmp_path / "run"
    ended = subprocess.run(command(suite, "--out", str(run)), capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    for name in ("answers.jsonl", "journal.jsonl"):
        data = (run / name).read_bytes()
        (run / name).write_bytes(data[:-20])
    require_whole(suite, run, resume(suite, run), targets=1)
    assert len(stub.asked) == COUNT + 1, "the one whose line was torn"


def test_ctrl_c_waits_for_what_is_on_its_way_and_leaves_a_run_to_go_on_with(
    suite: Path, stub: StubOpenAI, tmp_path: Path
) -> None:
    honest, gate = stub.answer, hold(stub, 4)
    run = tmp_path / "run"
    with running(*command(suite, "--out", str(run)), env={}) as process:
        stub.until(8)
        process.process.send_signal(signal.SIGINT)
        process.until("Stopping: waiting for the answers")
        gate.set()
        assert process.process.wait(60) == 130
        text = process.until("To go on: .*")[0]
    assert f"--resume {run}" in text
    assert len(stub.asked) == 8, "nothing was begun after it"
    assert (run / "journal.jsonl").read_text().count('"reply"') == 8, "what was on its way was kept"
    stub.answer = honest
    require_whole(suite, run, resume(suite, run))
    assert len(stub.asked) == 2 * COUNT


def test_ctrl_c_twice_ends_it_at_once(suite: Path, stub: StubOpenAI, tmp_path: Path) -> None:
    never = threading.Event()
    stub.answer = lambda body: Planted("late", waits=never)
    run = tmp_path / "run"
    try:
        with running(*command(suite, "--out", str(run)), env={}) as process:
            stub.until(4)
            process.process.send_signal(signal.SIGINT)
            process.until("Stopping")
            process.process.send_signal(signal.SIGINT)
            assert process.process.wait(60) == 130
            process.until("To go on: ")
    finally:
        never.set()
    stub.answer = lambda body: Planted(question(body).split()[-1])
    require_whole(suite, run, resume(suite, run))


def test_two_processes_do_not_share_a_run(suite: Path, stub: StubOpenAI, tmp_path: Path) -> None:
    gate = threading.Event()
    stub.answer = lambda body: Planted(question(body).split()[-1], waits=gate)
    run = tmp_path / "run"
    try:
        with running(*command(suite, "--out", str(run)), env={}) as process:
            stub.until(4)
            ended = resume(suite, run)
            assert (ended.returncode, "Another process is running" in ended.stderr) == (4, True)
            gate.set()
            assert process.process.wait(60) == 0, process.text
    finally:
        gate.set()


def test_check_and_dry_run_ask_nothing(suite: Path, stub: StubOpenAI, tmp_path: Path) -> None:
    env = {**os.environ, "FREEHOLD_HOME": str(tmp_path / "home")}
    checked = subprocess.run(
        freehold("evaluate", "check", str(suite)), env=env, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, f"{COUNT} prompts" in checked.stdout) == (0, True), checked.stderr
    planned = subprocess.run(
        command(suite, "--dry-run", "--format", "json"), env=env, capture_output=True, text=True, check=False
    )
    rows = {row["target"]: row for row in json.loads(planned.stdout)}
    assert rows["a"]["answers"] == COUNT
    assert rows["a"]["at_most_tokens"] > COUNT * 4
    assert stub.asked == []
    assert not (tmp_path / "home" / "evaluations").exists()


def test_a_wrong_suite_ends_with_every_problem(tmp_path: Path) -> None:
    suite = write_suite(tmp_path, [*LINES, {"promt": "x"}], targets={"a": {"model": "m"}})
    ended = subprocess.run(freehold("evaluate", "check", str(suite)), capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "targets.a.baseUrl: field required" in ended.stderr
    assert "unknown key 'promt' (did you mean 'prompt'?)" in ended.stderr
