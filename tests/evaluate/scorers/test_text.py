"""Scorers that look at an answer's text: each has right answers, and wrong ones that it must catch."""

from typing import Any

import pytest
from fixtures.evaluating import prompt_of, reply_of, score_of, scorer_of
from pydantic import ValidationError

EXACT = [
    ({}, "Paris", " Paris\n", 1),
    ({}, "Paris", "paris", 0),
    ({}, "Paris", "Paris.", 0),
    ({}, "Paris", "", 0),
    ({}, ["Paris", "the capital"], "the capital", 1),
    ({}, 12, "12", 1),
    ({}, 12, "12.0", 0),
    ({"ignoreCase": True}, "Straße", "STRASSE", 1),
    ({"ignorePunctuation": True}, "yes, it is", "Yes it is", 0),
    ({"ignorePunctuation": True, "ignoreCase": True}, "yes, it is", "Yes -- it is!", 1),
    ({"ignorePunctuation": True}, "ab", "a b", 0),
    ({"extract": r"Answer: (\w+)"}, "B", "Answer: A? No. Answer: B", 1),
    ({"extract": r"Answer: (\w+)"}, "A", "Answer: A? No. Answer: B", 0),
    ({"extract": r"Answer: (\w+)"}, "B", "B", 0),
]


@pytest.mark.parametrize(("options", "expected", "answer", "value"), EXACT)
async def test_exact(options: dict[str, Any], expected: Any, answer: str, value: float) -> None:
    score = await score_of(scorer_of("exact", **options), expected, answer)
    assert score.value == value, score.why


async def test_a_wrong_answer_is_told_with_what_was_expected() -> None:
    assert (await score_of(scorer_of("exact"), "Paris", "Rome")).why == "expected: Paris; came: Rome"


async def test_an_answer_without_text_is_no_empty_text_that_is_right() -> None:
    call = reply_of(tool_calls=[{"function": {"name": "f", "arguments": "{}"}}])
    assert (await score_of(scorer_of("exact"), "Paris", call)).value == 0


REGEX = [
    ({"pattern": r"\b42\b"}, None, "It is 42.", 1),
    ({"pattern": r"\b42\b"}, None, "It is 421.", 0),
    ({}, r"(?i)^yes", "Yes, sir", 1),
    ({}, r"(?i)^yes", "Oh yes", 0),
    ({"whole": True}, r"\d+", " 42 ", 1),
    ({"whole": True}, r"\d+", "42 or so", 0),
    ({"pattern": "sorry", "absent": True}, None, "Here it is", 1),
    ({"pattern": "sorry", "absent": True}, None, "I am sorry", 0),
]


@pytest.mark.parametrize(("options", "expected", "answer", "value"), REGEX)
async def test_regex(options: dict[str, Any], expected: Any, answer: str, value: float) -> None:
    score = await score_of(scorer_of("regex", **options), expected, answer)
    assert score.value == value, score.why


NUMERIC = [
    ({}, 18, "She makes $18.", 1),
    ({}, 18, "She makes $18 a day for 3 days.", 0),
    ({"take": "first"}, 18, "18 and then 3", 1),
    ({"take": "only"}, 18, "18 and then 3", 0),
    ({"take": "only"}, 18, "it is 18", 1),
    ({}, 1234.5, "1,234.5 EUR", 1),
    ({"decimal": ","}, 1234.5, "1.234,5 EUR", 1),
    ({}, 1234.5, "1.234,5 EUR", 0),
    ({}, -3, "−3", 1),
    ({}, -3, "3", 0),
    ({}, "1e-3", "0.001", 1),
    ({}, 3, "GPT3", 0),
    ({}, 3, "none", 0),
    ({"absolute": 0.1}, 0.3, "0.2", 1),
    ({"absolute": 0.1}, 0.3, "0.19", 0),
    ({"relative": 0.01}, 200, "198", 1),
    ({"relative": 0.01}, 200, "197.9", 0),
    ({"extract": r"#### (.*)"}, 7, "8 steps\n#### 7\n9", 1),
    ({"extract": r"#### (.*)"}, 9, "8 steps\n#### 7\n9", 0),
]


@pytest.mark.parametrize(("options", "expected", "answer", "value"), NUMERIC)
async def test_numeric(options: dict[str, Any], expected: Any, answer: str, value: float) -> None:
    score = await score_of(scorer_of("numeric", **options), expected, answer)
    assert score.value == value, score.why


PERSON = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}

JSON = [
    ({"schema": PERSON}, None, '{"age": 3}', 1),
    ({"schema": PERSON}, None, '{"age": "3"}', 0),
    ({"schema": PERSON}, None, "{}", 0),
    ({"schema": PERSON}, None, 'Here: {"age": 3}', 0),
    ({"schema": PERSON}, None, '```json\n{"age": 3}\n```', 0),
    ({"schema": PERSON, "fenced": True}, None, '```json\n{"age": 3}\n```', 1),
    ({"schema": PERSON, "fenced": True}, None, 'Here:\n```json\n{"age": 3}\n```', 0),
    ({"schema": PERSON}, None, "[" * 100_000, 0),
    ({}, PERSON, '{"age": 3}', 1),
    ({}, PERSON, '{"age": null}', 0),
    ({"schema": PERSON, "equal": True}, {"age": 3}, '{"age": 3.0}', 1),
    ({"schema": PERSON, "equal": True}, {"age": 3}, '{"age": 4}', 0),
    ({"schema": PERSON, "equal": True}, {"age": 3}, '{"age": 3, "name": "x"}', 0),
    ({"schema": {"$ref": "http://127.0.0.1:1/schema.json"}}, None, "{}", 0),
]


@pytest.mark.parametrize(("options", "expected", "answer", "value"), JSON)
async def test_json_schema(options: dict[str, Any], expected: Any, answer: str, value: float) -> None:
    score = await score_of(scorer_of("json-schema", **options), expected, answer)
    assert score.value == value, score.why


async def test_json_that_is_wrong_is_told_with_its_place() -> None:
    score = await score_of(scorer_of("json-schema", schema=PERSON), None, '{"age": "3"}')
    assert score.why == "$.age: '3' is not of type 'integer'"


def test_what_is_no_schema_or_pattern_is_refused() -> None:
    with pytest.raises(ValidationError, match="no JSON schema"):
        scorer_of("json-schema", schema={"type": "nothing"})
    with pytest.raises(ValidationError, match="no regular expression"):
        scorer_of("regex", pattern="(")


LACKING = [
    ("exact", {}, None),
    ("exact", {}, {"a": 1}),
    ("exact", {}, []),
    ("regex", {}, "("),
    ("regex", {}, None),
    ("numeric", {}, "many"),
    ("numeric", {}, True),
    ("numeric", {}, None),
    ("json-schema", {}, None),
    ("json-schema", {}, {"type": "nothing"}),
    ("json-schema", {"schema": PERSON, "equal": True}, None),
    ("tool-calls", {}, None),
    ("tool-calls", {}, [{"arguments": {}}]),
    ("code", {}, ""),
    ("similarity", {"endpoint": {"baseUrl": "http://127.0.0.1:1", "model": "e"}}, 3),
    ("rubric", {"rubric": "Polite"}, None),
]


@pytest.mark.parametrize(("kind", "options", "expected"), LACKING)
def test_a_prompt_that_cannot_be_scored_is_told(kind: str, options: dict[str, Any], expected: Any) -> None:
    assert scorer_of(kind, **options).lack(prompt_of(expected)) != ""


def test_a_scorer_keeps_to_its_slices() -> None:
    scorer = scorer_of("exact", only={"task": ["sum", "extract"], "language": "de"})
    assert scorer.applies(prompt_of(slices={"task": "sum", "language": "de"}))
    assert not scorer.applies(prompt_of(slices={"task": "sum", "language": "en"}))
    assert not scorer.applies(prompt_of(slices={"task": "sum"}))
