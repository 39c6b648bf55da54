"""Suites: what is right is read, what is wrong is told, all of it at once."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from fixtures.evaluating import write_suite
from fixtures.recordings import recorded

from freehold.core.errors import ConfigError, NotFoundError
from freehold.core.recording import RecordingStore
from freehold.core.settings import Settings
from freehold.evaluate.scorers.registry import SCORERS
from freehold.evaluate.suite.bodies import body_of
from freehold.evaluate.suite.loading import Loaded, Overrides, load_suite
from freehold.evaluate.suite.suite import Suite

ASKED = [{"prompt": "1 + 1", "expected": "2"}, {"prompt": "1 + 2", "expected": "3"}]
TARGETS = {"a": {"baseUrl": "http://127.0.0.1:1/v1", "model": "m"}}


def load(path: Path, tmp_path: Path, *, offline: bool = False, environ: Any = None, **overrides: Any) -> Loaded:
    settings = Settings(home=tmp_path / "home", offline=offline)
    return load_suite(path, Overrides(**{"targets": {}} | overrides), settings, environ or {})


def problems(path: Path, tmp_path: Path, **given: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(path, tmp_path, **given)
    return caught.value.problems


def test_a_small_suite(tmp_path: Path) -> None:
    loaded = load(write_suite(tmp_path, ASKED, targets=TARGETS), tmp_path)
    assert {prompt.expected for prompt in loaded.prompts} == {"2", "3"}
    assert loaded.suite.targets["a"].base_url == "http://127.0.0.1:1"


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"nmae": "x"}, "nmae: unknown key"),
    ({"scorers": {}}, "scorers: dictionary should have at least 1 item"),
    ({"scorers": {"x": {"kind": "exakt"}}}, "scorers.x: input tag 'exakt'"),
    ({"scorers": {"x": {"kind": "exact", "ignore": True}}}, "scorers.x.ignore: unknown key"),
    ({"scorers": {"x": {"kind": "rubric", "rubric": "Polite"}}}, "scorers.x: a rubric needs a judge"),
    ({"scorers": {"x": {"kind": "rubric", "rubric": "P", "against": "b"}}}, "scorers.x.against: no target b"),
    ({"scorers": {"x": {"kind": "exact", "only": {"task": "sum"}}}}, "scorers.x.only: no prompt has task: sum"),
    ({"scorers": {"x": {"kind": "harness"}}}, "scorers: none applies, at"),
    ({"targets": {}}, "targets: there is nothing to ask"),
    ({"targets": {"a": {"baseUrl": "ftp://x", "model": "m"}}}, "targets.a.baseUrl: string should match"),
    ({"targets": {"a": TARGETS["a"] | {"apiKey": "sk-1"}}}, "targets.a.apiKey: unknown key"),
    ({"targets": {"a": TARGETS["a"] | {"apiKeyFrom": {"env": "KEY"}}}}, "the environment has no KEY"),
    ({"targets": {"a": TARGETS["a"] | {"request": {"extra": {"n": 2}}}}}, "n cannot be set"),
    ({"request": {"extra": {"stream": True}}}, "stream cannot be set"),
    ({"prompts": [{"file": "none.jsonl"}]}, "prompts.0: "),
    ({"prompts": [{"file": "prompts.jsonl"}] * 2}, "is taken by"),
    ({"prompts": [{"tasks": ["gsm8k"], "fewshots": 2}]}, "prompts.0.fewshots: unknown key"),
    ({"slices": ["language"]}, "slices: no prompt has a slice language"),
    ({"budget": {"tokens": 10}}, "request.maxTokens: a budget needs it, for a at"),
    ({"budget": {"money": 1}, "request": {"maxTokens": 5}}, "targets.a.prices: a budget in money needs them"),
]


@pytest.mark.parametrize(("fields", "problem"), WRONG)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, fields: dict[str, Any], problem: str) -> None:
    path = write_suite(tmp_path, ASKED, **{"targets": TARGETS} | fields)
    assert any(problem in found for found in problems(path, tmp_path)), problems(path, tmp_path)


def test_everything_wrong_is_told_at_once(tmp_path: Path) -> None:
    prompts = [{"prompt": "1", "expect": "2"}, {"prompt": "1", "messages": []}, {"messages": [{"role": "usr"}]}]
    path = write_suite(tmp_path, prompts, targets={"a": {"baseUrl": "http://x"}}, samples=0)
    with (tmp_path / "prompts.jsonl").open("a") as file:
        file.write("{torn\n")
    found = "\n".join(problems(path, tmp_path))
    for part in (
        "targets.a.model: field required",
        "samples: input should be greater than or equal to 1",
        "prompts.jsonl:1: error: unknown key 'expect' (did you mean 'expected'?)",
        "prompts.jsonl:2: error: the line has both messages and prompt",
        "prompts.jsonl:3: error: messages[0]: role \"usr\" is unknown (did you mean 'user'?)",
        "prompts.jsonl:4:2: error: not JSON",
    ):
        assert part in found


LINES: list[tuple[dict[str, Any], str]] = [
    ({}, "neither messages nor prompt"),
    ({"prompt": ""}, "must be text"),
    ({"messages": "hello"}, "must be a list of objects"),
    ({"messages": []}, "messages is empty"),
    ({"messages": [{"role": "user"}]}, "has no content"),
    ({"prompt": "x", "tools": [1]}, "tools is [1]"),
    ({"prompt": "x", "slices": ["de"]}, "must name a value each"),
    ({"prompt": "x", "id": [1]}, "id is a list"),
    ({"prompt": "x", "request": {"stream": True}}, "request sets stream"),
]


@pytest.mark.parametrize(("line", "problem"), LINES)
def test_a_line_that_is_no_prompt(tmp_path: Path, line: dict[str, Any], problem: str) -> None:
    path = write_suite(tmp_path, [*ASKED, line], targets=TARGETS)
    assert [found for found in problems(path, tmp_path) if problem in found and "prompts.jsonl:3" in found]


def test_a_prompt_without_what_is_expected_is_told(tmp_path: Path) -> None:
    path = write_suite(tmp_path, [*ASKED, {"prompt": "1 + 3"}], targets=TARGETS)
    (found,) = problems(path, tmp_path)
    assert "scorers.right: expected must be a text" in found
    assert "prompts.jsonl:3" in found


def test_a_file_that_is_no_yaml_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    with pytest.raises(NotFoundError):
        load(path, tmp_path)
    for text in ("a: [", "- 1", "just words"):
        path.write_text(text)
        with pytest.raises(ConfigError):
            load(path, tmp_path)


def test_ids_are_the_suites_own_or_the_contents(tmp_path: Path) -> None:
    prompts = [{"prompt": "1 + 1", "expected": "2", "id": "one"}, {"prompt": "1 + 2", "expected": "3"}]
    first = load(write_suite(tmp_path / "a", prompts, targets=TARGETS), tmp_path)
    second = load(write_suite(tmp_path / "b", prompts[::-1], targets=TARGETS), tmp_path)
    assert [p.id for p in first.prompts] == [p.id for p in second.prompts]
    assert "one" in {p.id for p in first.prompts}


def test_the_seed_draws_order_and_sample(tmp_path: Path) -> None:
    many = [{"prompt": f"{n} + 1", "expected": str(n + 1)} for n in range(50)]
    orders = []
    for seed in (0, 0, 1):
        path = write_suite(tmp_path, many, targets=TARGETS, seed=seed, prompts=[{"file": "prompts.jsonl", "limit": 20}])
        orders.append([prompt.expected for prompt in load(path, tmp_path).prompts])
    assert orders[0] == orders[1]
    assert len(orders[0]) == 20
    assert orders[0] != sorted(orders[0], key=int), "not the file's order"
    assert set(orders[0]) != set(orders[2]), "another seed takes others"


def test_slices_of_a_source_and_of_its_prompts(tmp_path: Path) -> None:
    prompts = [{"prompt": "1 + 1", "expected": "2", "slices": {"level": 1}}, ASKED[1]]
    source = {"file": "prompts.jsonl", "slices": {"task": "sum", "level": "0"}}
    loaded = load(write_suite(tmp_path, prompts, targets=TARGETS, prompts=[source]), tmp_path)
    assert {p.expected: p.slices for p in loaded.prompts} == {
        "2": {"task": "sum", "level": "1"},
        "3": {"task": "sum", "level": "0"},
    }


def test_targets_and_budget_of_the_command_line(tmp_path: Path) -> None:
    path = write_suite(tmp_path, ASKED, targets=TARGETS, request={"maxTokens": 5})
    targets = {"a": "http://127.0.0.1:2", "b": "http://127.0.0.1:3/v1/"}
    suite = load(path, tmp_path, targets=targets, budget_tokens=99).suite
    assert [(t.base_url, t.model) for t in suite.targets.values()] == [
        ("http://127.0.0.1:2", "m"),
        ("http://127.0.0.1:3", "b"),
    ]
    assert suite.budget.tokens == 99


def test_offline_allows_this_machine_alone(tmp_path: Path) -> None:
    targets = {**TARGETS, "far": {"baseUrl": "https://api.example.com", "model": "m"}}
    path = write_suite(tmp_path, ASKED, targets=targets)
    (found,) = problems(path, tmp_path, offline=True)
    assert found.startswith("targets.far.baseUrl")


def test_a_body_of_suite_prompt_and_target(tmp_path: Path) -> None:
    prompts = [{"messages": [{"role": "user", "content": "Hi"}], "expected": "x", "request": {"max_tokens": 7}}]
    request = {"temperature": 0, "maxTokens": 50, "seed": 3, "extra": {"top_k": 1}}
    target = TARGETS["a"] | {"request": {"temperature": 0.5, "extra": {"top_k": None}}}
    suite = write_suite(tmp_path, prompts, targets={"a": target}, request=request)
    loaded = load(suite, tmp_path)
    body = body_of(loaded.suite, loaded.suite.targets["a"], loaded.prompts[0], 2)
    assert body == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "temperature": 0.5,
        "max_tokens": 7,
        "seed": 5,
    }


def test_recorded_traffic(tmp_path: Path) -> None:
    calls = [{"id": "c", "type": "function", "function": {"name": "find", "arguments": '{"x": 1}'}}]
    calling = {"choices": [{"message": {"role": "assistant", "tool_calls": calls}, "finish_reason": "tool_calls"}]}
    tools = [{"type": "function", "function": {"name": "find", "parameters": {}}}]
    asking = {"model": "support", "messages": [{"role": "user", "content": "Find x"}], "tools": tools}
    store = RecordingStore(tmp_path / "home" / "recordings")
    store.append([recorded(), recorded(), recorded(request=asking, response=calling), recorded(status=500)])
    scorers = {"called": {"kind": "tool-calls", "only": {"kind": "x"}}, "right": {"kind": "exact"}}
    source = {"recorded": "support", "since": "2026-03-01", "until": "2026-03-01"}
    path = write_suite(tmp_path, [], targets=TARGETS, prompts=[source], scorers=scorers)
    (scorerless,) = [p for p in problems(path, tmp_path) if "expected must be a text" in p]
    assert "recorded:support" in scorerless, "the call is no text"
    scorers = {"any": {"kind": "regex", "pattern": "."}}
    loaded = load(write_suite(tmp_path, [], targets=TARGETS, prompts=[source], scorers=scorers), tmp_path)
    found = {json.dumps(prompt.expected): prompt for prompt in loaded.prompts}
    assert set(found) == {'"Paris"', '[{"name": "find", "arguments": "{\\"x\\": 1}"}]'}, "once each, no error"
    assert found['"Paris"'].messages == ({"role": "user", "content": "The capital of France?"},)
    assert [p.tools for p in loaded.prompts if p.tools] == [tuple(tools)]
    read = [json.loads(line) for line in (tmp_path / "home/recordings/access.jsonl").read_text().splitlines()]
    assert read[-1]["route"] == "support", "the reading is logged"


def test_recorded_days_without_traffic_are_told(tmp_path: Path) -> None:
    RecordingStore(tmp_path / "home" / "recordings").append([recorded()])
    source = {"recorded": "support", "since": "2026-03-02"}
    path = write_suite(tmp_path, [], targets=TARGETS, prompts=[source])
    assert problems(path, tmp_path) == ["prompts.0: there is no prompt in it"]


def test_the_suite_of_the_manual_is_right() -> None:
    page = (Path(__file__).parents[3] / "docs" / "evaluate.md").read_text()
    suite = Suite.model_validate(yaml.safe_load(page.split("```yaml\n")[1].split("```")[0]))
    assert set(suite.targets) == {"small", "closed"}


def test_every_scorer_and_option_is_in_the_manual() -> None:
    page = (Path(__file__).parents[3] / "docs" / "evaluate.md").read_text()
    for kind, scorer in SCORERS.items():
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{kind}` |")]
        options = {field.alias for field in scorer.model_fields.values()} - {"kind", "only"}
        assert [option for option in options if f"`{option}`" not in row] == [], kind


def test_a_suite_names_no_secret(tmp_path: Path) -> None:
    from freehold.evaluate.running.folder import as_yaml

    target = TARGETS["a"] | {"apiKeyFrom": {"env": "THE_KEY"}}
    loaded = load(write_suite(tmp_path, ASKED, targets={"a": target}), tmp_path, environ={"THE_KEY": "sk-secret"})
    text = as_yaml(loaded)
    assert "sk-secret" not in text
    assert yaml.safe_load(text)["targets"]["a"]["apiKeyFrom"] == {"env": "THE_KEY"}
