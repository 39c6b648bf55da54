"""Recorded traffic is asked again of candidates, as it was asked then, and judged beside what was answered then."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fixtures.recordings import DAY_1, recorded
from fixtures.stub_openai import Planted, StubOpenAI, question
from typer.testing import CliRunner

from freehold.core.errors import ConfigError, UserError
from freehold.core.recording import RecordingStore
from freehold.core.settings import load_settings
from freehold.evaluate.cli.replay import app
from freehold.evaluate.replay.building import Replay, suite_of
from freehold.evaluate.results.reading import read_answers

pytestmark = pytest.mark.slow

TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
TEXTS, CALLS = 40, 20


def calling(city: str) -> dict[str, Any]:
    call = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": json.dumps({"city": city})}}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


@pytest.fixture
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts and tool calls that a closed model answered; a shadow answered every other text, badly."""
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path / "home"))
    store = RecordingStore(load_settings().recordings_root)
    for number in range(TEXTS):
        messages = [{"role": "user", "content": f"text {number}"}]
        request = {
            "model": "support",
            "messages": messages,
            "temperature": 0.3,
            "max_tokens": 50,
            "stream": True,
            "user": "u",
        }
        answer = recorded(
            model="openai/closed",
            request=request,
            response=saying(f"good {number}"),
            fingerprint="fp-closed",
            latency_s=2.0,
        )
        store.append([answer])
        if number % 2 == 0:
            said = {"kind": "shadow", "shadow_of": answer.id, "model": "qwen3", "response": saying("bad")}
            store.append([recorded(request=request, **said)])
    for number in range(CALLS):
        messages = [{"role": "user", "content": f"call {number}"}]
        request = {"model": "support", "messages": messages, "tools": [TOOL], "tool_choice": "auto"}
        choice = {"index": 0, "message": calling(f"City {number}"), "finish_reason": "tool_calls"}
        store.append([recorded(model="openai/closed", request=request, response={"choices": [choice]})])
    store.append([recorded(DAY_1, status=500, response={})])


def saying(text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    usage = {"prompt_tokens": 30, "completion_tokens": 7}
    return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage}


def answers(body: dict[str, Any]) -> Planted:
    """A candidate that is as good in texts and wrong in calls; and a judge that tells good from bad."""
    if body["model"] == "judge":
        first, second = question(body).split("<answer_b>")
        good = ["good" in part for part in (first.split("<answer_a>")[1], second)]
        return Planted("VERDICT: TIE" if good[0] == good[1] else f"VERDICT: {'A' if good[0] else 'B'}")
    kind, number = question(body).split()
    return Planted(f"good, {number}") if kind == "text" else Planted(message=calling("Nowhere"))


@pytest.fixture
def stub() -> Iterator[StubOpenAI]:
    with StubOpenAI(answers).listening() as stub:
        yield stub


def replay(stub: StubOpenAI, tmp_path: Path, *words: str) -> Path:
    folder = tmp_path / "run"
    judge = ["--judge", f"judge={stub.url}", "--out", str(folder)]
    result = CliRunner().invoke(app, ["support", *judge, *words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return folder


@pytest.mark.usefixtures("records")
def test_the_candidate_is_asked_as_the_closed_model_was(stub: StubOpenAI, tmp_path: Path) -> None:
    replay(stub, tmp_path, "--target", f"bot={stub.url}")
    asked = [body for body in stub.asked if body["model"] == "bot"]
    assert len(asked) == TEXTS + CALLS
    text = next(body for body in asked if question(body) == "text 3")
    assert {name: text[name] for name in ("temperature", "max_tokens")} == {"temperature": 0.3, "max_tokens": 50}
    assert not {"stream", "user"} & text.keys()
    call = next(body for body in asked if question(body) == "call 3")
    assert (call["tools"], call["tool_choice"]) == ([TOOL], "auto")


@pytest.mark.usefixtures("records")
def test_what_regressed_is_told_by_slice(stub: StubOpenAI, tmp_path: Path) -> None:
    folder = replay(stub, tmp_path, "--target", f"bot={stub.url}", "--margin", "0.2")
    document = json.loads((folder / "report.json").read_text())
    [candidate] = document["candidates"]
    assert document["baseline"] == "recorded"
    assert candidate["worse"] == ["answer=tools"]
    assert candidate["decision"] == "replace for these slices"
    assert candidate["replaceSlices"] == ["answer=text"]
    closed = next(one for one in document["efficiency"] if one["target"] == "recorded")
    assert closed["latencyP50S"] == 2.0


@pytest.mark.usefixtures("records")
def test_the_recorded_answers_are_the_baseline_and_are_not_asked_for(stub: StubOpenAI, tmp_path: Path) -> None:
    folder = replay(stub, tmp_path, "--target", f"bot={stub.url}")
    baseline = [one for one in read_answers(folder) if one.target == "recorded"]
    assert len(baseline) == TEXTS + CALLS
    text = next(one for one in baseline if one.answer == "good 3")
    assert text.usage is not None
    assert (text.fingerprint, text.usage.completion, text.scores["text"].value) == ("fp-closed", 7, 0.5)
    assert {one.scores["calls"].value for one in baseline if one.slices["answer"] == "tools"} == {1.0}
    assert {body["model"] for body in stub.asked} == {"bot", "judge"}


@pytest.mark.usefixtures("records")
def test_a_shadow_is_judged_by_what_it_said_then(stub: StubOpenAI, tmp_path: Path) -> None:
    folder = replay(stub, tmp_path, "--shadow", "qwen3")
    shadow = [one for one in read_answers(folder) if one.target == "shadow-qwen3"]
    assert len(shadow) == TEXTS // 2
    assert {one.score for one in shadow} == {0.0}
    [candidate] = json.loads((folder / "report.json").read_text())["candidates"]
    assert candidate["decision"] == "hold"
    assert {body["model"] for body in stub.asked} == {"judge"}


@pytest.mark.usefixtures("records")
def test_a_shadow_that_was_never_there_is_told(stub: StubOpenAI, tmp_path: Path) -> None:
    words = ["support", "--judge", f"judge={stub.url}", "--shadow", "other", "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, ConfigError)
    assert "no prompt was answered by shadow:other; there are answer, shadow:qwen3" in str(result.exception)
    assert not stub.asked


def test_a_replay_needs_a_candidate_and_something_that_judges() -> None:
    with pytest.raises(UserError, match="There is no candidate"):
        suite_of(Replay("support", judge=("judge", "http://x")))
    with pytest.raises(UserError, match="Nothing says how good a text is"):
        suite_of(Replay("support", targets={"bot": "http://x"}))


def test_an_unknown_route_has_no_prompts(stub: StubOpenAI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path / "home"))
    result = CliRunner().invoke(app, ["nowhere", "--judge", f"judge={stub.url}", "--target", f"bot={stub.url}"])
    assert isinstance(result.exception, ConfigError)
    assert "there is no prompt in it" in str(result.exception)
