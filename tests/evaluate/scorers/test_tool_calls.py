"""Tool calls: names and arguments, in any order unless the order is asked for."""

import json
from typing import Any

import pytest
from fixtures.evaluating import reply_of, score_of, scorer_of

from freehold.evaluate.targets.reply import Reply


def call(name: str, /, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": arguments}


def calling(*calls: dict[str, Any]) -> Reply:
    """An answer as the API gives it: arguments are JSON in a string."""
    made = [{"id": "x", "type": "function", "function": c | {"arguments": json.dumps(c["arguments"])}} for c in calls]
    return reply_of(tool_calls=made)


A, B = call("find", city="Bonn", near=1), call("book", id=7)

CASES = [
    ({}, A, [A], 1),
    ({}, A, [call("find", near=1.0, city="Bonn")], 1),
    ({}, A, [call("find", city="Bonn", near=True)], 0),
    ({}, A, [call("find", city="Köln", near=1)], 0),
    ({}, A, [call("look", city="Bonn", near=1)], 0),
    ({}, A, [call("find", city="Bonn")], 0),
    ({}, A, [], 0),
    ({}, A, [A, A], 0),
    ({}, [A, B], [B, A], 1),
    ({"ordered": True}, [A, B], [B, A], 0),
    ({"ordered": True}, [A, B], [A, B], 1),
    ({}, [A, A], [A, B], 0),
    ({}, [], [], 1),
    ({}, [], [A], 0),
    ({"arguments": "covered"}, call("find", city="Bonn"), [A], 1),
    ({"arguments": "covered"}, A, [call("find", city="Bonn")], 0),
    ({"arguments": "ignored"}, call("find"), [A], 1),
    ({"arguments": "ignored"}, call("book"), [A], 0),
    # Greedy pairing would give the first expected call to the only one that fits the second.
    ({"arguments": "covered"}, [call("f"), call("f", x=1)], [call("f", x=1), call("f", x=2)], 1),
]


@pytest.mark.parametrize(("options", "expected", "came", "value"), CASES)
async def test_calls(options: dict[str, Any], expected: Any, came: list[Any], value: float) -> None:
    score = await score_of(scorer_of("tool-calls", **options), expected, calling(*came))
    assert score.value == value, score.why


async def test_arguments_that_are_no_json_are_wrong_and_told() -> None:
    broken = reply_of(tool_calls=[{"function": {"name": "find", "arguments": '{"city": '}}])
    score = await score_of(scorer_of("tool-calls"), A, broken)
    assert score.value == 0
    assert "no JSON object" in score.why


async def test_text_in_place_of_a_call_is_wrong() -> None:
    score = await score_of(scorer_of("tool-calls"), A, "I would call find.")
    assert (score.value, "no call; I would call find." in score.why) == (0, True)
