"""A suite against the real engine: two targets, killed in the midst and gone on with."""

import itertools
import json
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fixtures.evaluating import without_times, write_suite
from fixtures.journeys import freehold, link_model, running
from fixtures.stub_openai import Planted, StubOpenAI

from freehold.core.errors import RefusedError
from freehold.core.settings import Settings
from freehold.core.store import Store
from freehold.evaluate.promoting import promote
from freehold.evaluate.results.reading import read_answers
from freehold.evaluate.running.folder import RunFolder

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1800)]

CAPITALS = {"France": "Paris", "Germany": "Berlin", "Italy": "Rome", "Spain": "Madrid", "Japan": "Tokyo"}
LINES: list[dict[str, Any]] = [
    {"id": f"capital-{land}", "prompt": f"What is the capital of {land}?", "expected": town, "slices": {"task": "fact"}}
    for land, town in CAPITALS.items()
] + [
    {"id": f"sum-{n}", "prompt": f"What is {n} + {n}?", "expected": 2 * n, "slices": {"task": "sum"}}
    for n in range(1, 11)
]
SCORERS = {
    "town": {"kind": "exact", "extract": "|".join(CAPITALS.values()), "only": {"task": "fact"}},
    "number": {"kind": "numeric", "only": {"task": "sum"}},
}
COUNT = 2 * len(LINES)


@pytest.fixture(scope="module")
def url(pulled_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("home")
    artifact = link_model(pulled_home, home)
    config = home / "freehold.yaml"
    model = {"artifact": artifact.id, "engine": {"maxModelLen": 512}}
    config.write_text(json.dumps({"models": {"small": model}, "gateway": {"port": 0}}))
    with running(*freehold("serve", str(config), "--offline"), env={"FREEHOLD_HOME": str(home)}) as process:
        found = process.until(r"Gateway on (http://\S+)")[1]
        process.until(r"(?m)^Ready after ")
        yield found


@pytest.fixture(scope="module")
def suite(url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model twice: greedy, and at a temperature at which little of it is left."""
    place = {"baseUrl": url, "model": "small", "prices": {"input": 1.0, "output": 2.0}, "concurrency": 2}
    targets = {"greedy": place, "hot": {**place, "request": {"temperature": 2.0, "seed": 1}}}
    request = {"temperature": 0, "maxTokens": 24}
    folder = tmp_path_factory.mktemp("suite")
    return write_suite(folder, LINES, scorers=SCORERS, targets=targets, request=request, budget={"tokens": 20_000})


def finish(suite: Path, run: Path, *more: str) -> dict[str, Any]:
    command = freehold("evaluate", str(suite), "--format", "json", "--offline", *more)
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert len(read_answers(run)) == COUNT
    document: dict[str, Any] = json.loads(ended.stdout)
    return document


@contextmanager
def holding(url: str, after: int) -> Iterator[str]:
    """URL of a server that brings so many answers from `url`, and keeps the others back until the end."""
    gate, numbers = threading.Event(), itertools.count()

    def forward(body: dict[str, Any]) -> Planted:
        reply = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=300, trust_env=False)
        held = next(numbers) >= after
        return Planted(status=reply.status_code, body=reply.json(), waits=gate if held else None)

    with StubOpenAI(forward).listening() as server:
        try:
            yield server.url
        finally:
            gate.set()


@pytest.fixture(scope="module")
def whole(url: str, suite: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A run that was killed in the midst and resumed, and what it printed in the end."""
    run = tmp_path_factory.mktemp("runs") / "run"
    journal = run / "journal.jsonl"
    with holding(url, after=8) as held_url:
        held = suite.parent / "held.yaml"
        held.write_text(suite.read_text().replace(url, held_url))
        with running(*freehold("evaluate", str(held), "--out", str(run), "--no-cache", "--offline"), env={}) as process:
            while not journal.exists() or journal.read_text().count('"reply"') < 6:
                assert process.process.poll() is None, process.text
                time.sleep(0.01)
            process.process.send_signal(signal.SIGKILL)
            process.process.wait()
    kept = _replies(journal)
    assert 6 <= len(kept) < COUNT, "killed in the midst"
    document = finish(suite, run, "--resume", str(run), "--no-cache")
    assert _replies(journal)[: len(kept)] == kept
    assert len(_replies(journal)) == COUNT, "each was answered once"
    return run, document


def _replies(journal: Path) -> list[str]:
    return [line for line in journal.read_text().splitlines() if '"reply"' in line]


def test_a_killed_run_goes_on_to_its_end(whole: tuple[Path, dict[str, Any]]) -> None:
    run, document = whole
    answers = read_answers(run)
    assert {one.outcome for one in answers} == {"answered"}
    assert all(one.usage and one.usage.completion > 0 and one.cost and one.latency_s for one in answers)
    assert len({one.fingerprint for one in answers}) == 1
    assert all(one.fingerprint for one in answers), "the gateway says who answered"
    rows = {(row["target"], row["slice"]): row for row in document["means"]}
    assert rows["greedy", "task=fact"]["score"] >= 0.8, "it knows its capitals"
    assert rows["greedy", "task=fact"]["score"] > rows["hot", "task=fact"]["score"]
    assert rows["greedy", "all"]["answered"] == len(LINES)


def test_the_answers_are_what_a_client_gets(whole: tuple[Path, dict[str, Any]], url: str) -> None:
    greedy = {one.prompt: one for one in read_answers(whole[0]) if one.target == "greedy"}
    for line in LINES[:3]:
        messages = [{"role": "user", "content": line["prompt"]}]
        body = {"model": "small", "messages": messages, "temperature": 0, "max_tokens": 24}
        reply = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=300, trust_env=False).json()
        assert greedy[line["id"]].answer == reply["choices"][0]["message"]["content"]
        assert greedy[line["id"]].fingerprint == reply["system_fingerprint"]


def test_scores_are_right_by_hand(whole: tuple[Path, dict[str, Any]]) -> None:
    for one in read_answers(whole[0]):
        kind, _, what = one.prompt.partition("-")
        found = re.findall("|".join(CAPITALS.values()) if kind == "capital" else r"\d+(?:\.\d+)?", one.answer)
        wanted = CAPITALS[what] if kind == "capital" else str(2 * int(what))
        if one.target == "greedy":
            assert one.score == float(bool(found) and found[-1] == wanted), one.answer


def test_a_baseline_that_is_named_afterwards_brings_a_verdict_and_asks_nothing(
    whole: tuple[Path, dict[str, Any]], suite: Path, pulled_home: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(whole[0], tmp_path / "run"))
    named = suite.parent / "with-baseline.yaml"
    named.write_text(suite.read_text() + "baseline: greedy\n")
    before = (run / "journal.jsonl").read_bytes()
    document = finish(named, run, "--resume", str(run))
    assert (run / "journal.jsonl").read_bytes() == before
    [candidate] = document["report"]["candidates"]
    assert (candidate["target"], candidate["decision"]) == ("hot", "hold")
    assert "hold" in (run / "report.html").read_text()
    store = Store(Settings(home=pulled_home).store_root)
    served = store.get(RunFolder(run).artifact_of("hot"))
    with pytest.raises(RefusedError, match="is not promoted: small: "):
        promote(store, served, [run], accept_slices=False)


def test_a_second_run_is_answered_by_the_cache(
    whole: tuple[Path, dict[str, Any]], suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path / "home"))
    first, second = tmp_path / "first", tmp_path / "second"
    finish(suite, first, "--out", str(first))
    finish(suite, second, "--out", str(second))
    journal = (second / "journal.jsonl").read_text()
    assert journal.count('"found"') == COUNT - 2, "one of each target is asked, to learn who answers"
    greedy = [[one for one in without_times(read_answers(run)) if one.target == "greedy"] for run in (first, second)]
    assert greedy[0] == greedy[1]
