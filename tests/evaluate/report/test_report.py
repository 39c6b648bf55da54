"""The report says what was planted, in every form, and is the same bytes for the same answers."""

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from freehold.core.errors import UserError
from freehold.evaluate.report import Asked, Report, build_report, write_report
from freehold.evaluate.report.document import MOST_SHOWN
from freehold.evaluate.results import Answered, Score, Usage
from freehold.evaluate.verdict import Decision

HOSTILE = '</pre><script>alert("x")</script> | `x`'
KINDS = {"extract": (0.9, 0.3), "translate": (0.5, 0.9), "chat": (0.8, 0.8)}
"""How often closed and open are right."""


def _answers(seed: int = 0, prompts: int = 120) -> Iterator[Answered]:
    rng = random.Random(seed)
    for kind, shares in KINDS.items():
        for number in range(prompts):
            luck = rng.random()
            for target, share in zip(("closed", "open"), shares, strict=True):
                right = luck < share
                yield Answered(
                    suite="work",
                    prompt=f"{kind}-{number:03d}",
                    slices={"kind": kind},
                    target=target,
                    outcome="answered",
                    answer="right" if right else HOSTILE,
                    usage=Usage(prompt=20, completion=10 if target == "open" else 40),
                    cost=0.001 if target == "open" else 0.01,
                    latency_s=0.5,
                    scores={"exact": Score(value=float(right), why="" if right else "expected 'right'")},
                )


def _report(answers: list[Answered] | None = None) -> Report:
    asked = {f"{kind}-{number:03d}": Asked(f"Do {kind} {number}", "right") for kind in KINDS for number in range(120)}
    lines = list(_answers()) if answers is None else answers
    return build_report(lines, asked, suite="work", baseline="closed", candidates=["open"], seed=1, margin=0.05)


def test_it_flags_what_was_planted_and_nothing_else() -> None:
    report = _report()
    [candidate] = report.candidates
    assert [one.value for one in candidate.judgement.comparison.worse] == ["extract"]
    assert [one.value for one in candidate.judgement.comparison.better] == ["translate"]
    assert candidate.judgement.decision is Decision.REPLACE_SLICES
    assert candidate.judgement.slices == ("kind=chat", "kind=translate")


def test_the_worst_regressions_come_first() -> None:
    [candidate] = _report().candidates
    differences = [row.difference for row in candidate.shown]
    assert differences == sorted(differences)
    assert differences[0] < 0 < differences[-1]


def test_what_an_answer_costs_stands_beside_how_good_it_is() -> None:
    closed, open_one = _report().efficiency
    assert closed.cost_per_solved is not None
    assert open_one.cost_per_solved is not None
    assert open_one.cost_per_solved < closed.cost_per_solved / 5
    assert open_one.tokens_per_solved is not None


def test_the_same_answers_give_the_same_bytes_in_whatever_order_they_came(tmp_path: Path) -> None:
    shuffled = list(_answers())
    random.Random(5).shuffle(shuffled)
    for name, answers in (("a", None), ("b", shuffled)):
        (tmp_path / name).mkdir()
        write_report(tmp_path / name, _report(answers))
    for file in ("report.html", "report.md", "report.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_the_page_needs_nothing_from_elsewhere_and_runs_nothing_that_a_model_wrote(tmp_path: Path) -> None:
    page = write_report(tmp_path, _report()).read_text()
    assert not re.findall(r"""(?:src|href)\s*=|url\(|@import""", page)
    assert page.count("<script>") == 1
    assert "&lt;script&gt;" in page
    assert "open: replace for these slices (kind=chat, kind=translate)" in page


def test_json_holds_every_number(tmp_path: Path) -> None:
    write_report(tmp_path, _report())
    document = json.loads((tmp_path / "report.json").read_text())
    [candidate] = document["candidates"]
    assert candidate["decision"] == "replace for these slices"
    assert candidate["worse"] == ["kind=extract"]
    extract = next(one for one in candidate["slices"] if one["name"] == "kind=extract")
    assert extract["low"] < extract["difference"] < extract["high"] < 0
    assert document["efficiency"][1]["costPer1000"] == pytest.approx(1.0)


def test_markdown_stays_a_table_whatever_a_model_writes(tmp_path: Path) -> None:
    write_report(tmp_path, _report())
    text = (tmp_path / "report.md").read_text()
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in tables} == {10}
    assert "<script>" not in text
    assert "## open: replace for these slices" in text


def test_many_prompts_leave_the_page_readable(tmp_path: Path) -> None:
    report = _report(list(_answers(prompts=200)))
    [candidate] = report.candidates
    assert len(candidate.shown) == MOST_SHOWN
    assert candidate.left_out == 600 - MOST_SHOWN
    assert "100 more prompts are in answers.jsonl" in write_report(tmp_path, report).read_text()


def test_targets_without_a_prompt_in_common_are_refused() -> None:
    answers = [one for one in _answers() if one.target == "closed" or one.outcome != "answered"]
    with pytest.raises(UserError, match="no prompt in common"):
        _report(answers)


def test_two_candidates_share_the_error_rate() -> None:
    twice = [one.model_copy(update={"target": "other"}) for one in _answers() if one.target == "open"]
    report = build_report(
        [*_answers(), *twice], {}, suite="work", baseline="closed", candidates=["open", "other"], seed=1
    )
    assert [one.judgement.comparison.alpha for one in report.candidates] == [0.025, 0.025]
