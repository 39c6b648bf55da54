"""Tasks of lm-evaluation-harness, from a folder of one's own: no network, the harness's own prompts and scoring."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from fixtures.evaluating import NoModel, reply_of, scorer_of, write_suite

from freehold.core.errors import ConfigError
from freehold.core.settings import Settings
from freehold.evaluate.prompts.harness import load_tasks
from freehold.evaluate.scorers.scorer import Sample
from freehold.evaluate.suite.loading import Loaded, Overrides, load_suite

HAS_HARNESS = importlib.util.find_spec("lm_eval") is not None
needs_harness = pytest.mark.skipif(not HAS_HARNESS, reason="lm_eval is not installed: pip install 'freehold[harness]'")

TARGETS = {"a": {"baseUrl": "http://127.0.0.1:1", "model": "m"}}
DOCS = [{"q": f"{n} + {n}", "a": str(2 * n)} for n in range(1, 7)]

TASK = """\
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}, train: {data}}}}}
output_type: {output}
test_split: test
fewshot_split: train
num_fewshot: 2
doc_to_text: "Q: {{{{q}}}}\\nA:"
doc_to_target: "{{{{a}}}}"
{more}
metric_list:
  - metric: {metric}
    aggregation: mean
    higher_is_better: true
"""
GENERATES = """\
generation_kwargs: {until: ["\\n"], do_sample: false, max_gen_toks: 12}
filter_list:
  - name: strict
    filter: [{function: regex, regex_pattern: "#### (\\\\d+)"}, {function: take_first}]
  - name: loose
    filter: [{function: regex, group_select: -1, regex_pattern: "(\\\\d+)"}, {function: take_first}]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two tasks: one that generates, and one that asks for log-probabilities."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "datasets"))
    data = tmp_path / "docs.json"
    data.write_text(json.dumps(DOCS))
    place = tmp_path / "tasks"
    place.mkdir()
    text = TASK.format(name="own_sums", data=data, output="generate_until", more=GENERATES, metric="exact_match")
    (place / "own_sums.yaml").write_text(text)
    more = 'doc_to_choice: ["1", "2"]'
    choice = TASK.format(name="own_choice", data=data, output="multiple_choice", more=more, metric="acc")
    (place / "own_choice.yaml").write_text(choice.replace('"{{a}}"', "0"))
    load_tasks.cache_clear()
    return place


def load(tmp_path: Path, source: dict[str, Any], **scorer: Any) -> Loaded:
    scorers = {"own": {"kind": "harness", **scorer}}
    path = write_suite(tmp_path, [], prompts=[source], targets=TARGETS, scorers=scorers)
    return load_suite(path, Overrides({}), Settings(home=tmp_path / "home"), {})


@needs_harness
@pytest.mark.filterwarnings("ignore")
async def test_a_task_by_name_with_its_examples_and_its_own_score(folder: Path, tmp_path: Path) -> None:
    loaded = load(tmp_path, {"tasks": ["own_sums"], "folder": "tasks", "fewshot": 2, "limit": 3})
    assert len(loaded.prompts) == 3
    prompt = loaded.prompts[0]
    assert [message["role"] for message in prompt.messages] == ["user", "assistant", "user", "assistant", "user"]
    assert prompt.messages[-1]["content"].startswith("Q: ")
    assert prompt.slices == {"task": "own_sums"}
    assert prompt.request == {"stop": ["\n"], "max_tokens": 12, "temperature": 0}
    assert prompt.task is not None
    right = prompt.task.doc["a"]
    for scorer, answer, value in (
        (scorer_of("harness"), f"It is #### {right}", 1),
        (scorer_of("harness"), f"It is {right}", 0),
        (scorer_of("harness", filter="loose"), f"It is {right}", 1),
        (scorer_of("harness", filter="loose"), "It is 999", 0),
    ):
        reply = reply_of(answer)
        score = await scorer.score(Sample(prompt, "a", 0, reply, {"a": reply}), NoModel())
        assert score.value == value, score.why


@needs_harness
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ({"tasks": ["own_choice"]}, "asks for log-probabilities (multiple_choice)"),
        ({"tasks": ["no_such_task"]}, "has no task no_such_task"),
    ],
)
def test_a_task_that_cannot_be_asked(folder: Path, tmp_path: Path, source: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, source | {"folder": "tasks"})
    assert any(problem in found for found in caught.value.problems)


@pytest.mark.skipif(HAS_HARNESS, reason="lm_eval is installed")
def test_without_the_harness_its_tasks_are_a_problem_that_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, {"tasks": ["gsm8k"]})
    (problem,) = caught.value.problems
    assert problem.startswith("prompts.0: lm-evaluation-harness is not installed here")
    assert "pip install 'freehold[harness]'" in problem
