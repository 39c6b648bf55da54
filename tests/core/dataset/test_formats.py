"""What each format means: the same normalised examples, whoever wrote the line."""

import json
from pathlib import Path
from typing import Any

import pytest

from freehold.core.dataset.examples import Conversation, Judged, PlainText, Preference
from freehold.core.dataset.formats.registry import FORMATS, format_named
from freehold.core.dataset.reading import read_examples
from freehold.core.errors import UserError

USER = {"role": "user", "content": "Hi"}
ANSWER = {"role": "assistant", "content": "Hello"}
WORSE = {"role": "assistant", "content": "What"}
TIME = {"type": "function", "function": {"name": "time", "description": None, "parameters": {"type": "object"}}}


def one(folder: Path, row: dict[str, Any], format: str = "auto") -> Any:
    path = folder / "data.jsonl"
    path.write_text(json.dumps(row) + "\n")
    found = read_examples([str(path)], format=format)
    assert not found.problems, [str(problem) for problem in found.problems]
    (example,) = found.examples
    return example


def called(identifier: str, arguments: dict[str, Any]) -> dict[str, Any]:
    function = {"name": "time", "arguments": arguments}
    return {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": identifier, "type": "function", "function": function}],
    }


CHATS = {
    "chat": ({"messages": [USER, ANSWER]}, (USER, ANSWER)),
    "chat in parts": (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}, ANSWER]},
        (USER, ANSWER),
    ),
    "chat with weight": (
        {"messages": [USER, ANSWER | {"weight": 0}, USER, ANSWER | {"weight": 1}], "parallel_tool_calls": False},
        (USER, ANSWER | {"weight": 0}, USER, ANSWER | {"weight": 1}),
    ),
    "chat with a refusal": (
        {"messages": [USER, {"role": "assistant", "content": None, "refusal": "No."}]},
        (USER, {"role": "assistant", "content": "No."}),
    ),
    "chat with reasoning": (
        {"messages": [USER, ANSWER | {"reasoning": "A greeting."}]},
        (USER, ANSWER | {"reasoning_content": "A greeting."}),
    ),
    "alpaca": ({"instruction": "Hi", "input": "", "output": "Hello"}, (USER, ANSWER)),
    "alpaca, all of it": (
        {"instruction": "Add", "input": "1 2", "output": "3", "system": "Count.", "history": [["Hi", "Hello"]]},
        (
            {"role": "system", "content": "Count."},
            USER,
            ANSWER,
            {"role": "user", "content": "Add\n1 2"},
            {"role": "assistant", "content": "3"},
        ),
    ),
    "sharegpt": (
        {"system": "S", "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]},
        ({"role": "system", "content": "S"}, USER, ANSWER),
    ),
    "completion": ({"prompt": "Hi", "completion": "Hello"}, (USER, ANSWER)),
    "completion of a chat": (
        {"prompt": [USER, ANSWER, USER], "completion": [ANSWER]},
        (USER, ANSWER | {"weight": 0}, USER, ANSWER),
    ),
}


@pytest.mark.parametrize("name", CHATS)
def test_a_chat_is_understood(name: str, tmp_path: Path) -> None:
    row, messages = CHATS[name]
    example = one(tmp_path, row)
    assert isinstance(example, Conversation)
    assert example.messages == messages


def test_tools_calls_and_results_get_one_shape(tmp_path: Path) -> None:
    """OpenAI's, its older functions, and ShareGPT's: arguments are objects, calls and results have ids."""
    tool = {"name": "time", "parameters": {"type": "object"}}
    raw_call = {"name": "time", "arguments": '{"zone": "UTC"}'}
    modern = {
        "messages": [
            USER,
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "a", "type": "function", "function": raw_call}],
            },
            {"role": "tool", "tool_call_id": "a", "content": "12:00"},
            ANSWER,
        ],
        "tools": [{"type": "function", "function": tool}],
    }
    legacy = {
        "messages": [
            USER,
            {"role": "assistant", "content": None, "function_call": raw_call},
            {"role": "function", "name": "time", "content": "12:00"},
            ANSWER,
        ],
        "functions": [tool],
    }
    sharegpt = {
        "conversations": [
            {"from": "human", "value": "Hi"},
            {"from": "function_call", "value": json.dumps({"name": "time", "arguments": {"zone": "UTC"}})},
            {"from": "observation", "value": "12:00"},
            {"from": "gpt", "value": "Hello"},
        ],
        "tools": json.dumps([tool]),
    }
    for row, identifier, name in (
        (modern, "a", {}),
        (legacy, "call00001", {"name": "time"}),
        (sharegpt, "call00001", {}),
    ):
        example = one(tmp_path, row)
        assert example.tools == (TIME,)
        result = {"role": "tool", "content": "12:00", "tool_call_id": identifier} | name
        assert example.messages == (USER, called(identifier, {"zone": "UTC"}), result, ANSWER)


PREFERENCES = {
    "openai": {"input": {"messages": [USER]}, "preferred_output": [ANSWER], "non_preferred_output": [WORSE]},
    "trl strings": {"prompt": "Hi", "chosen": "Hello", "rejected": "What"},
    "trl messages": {"prompt": [USER], "chosen": [ANSWER], "rejected": [WORSE]},
    "trl without a prompt": {"chosen": [USER, ANSWER], "rejected": [USER, WORSE]},
    "alpaca": {"instruction": "Hi", "input": "", "chosen": "Hello", "rejected": "What"},
}


@pytest.mark.parametrize("name", PREFERENCES)
def test_a_preference_is_understood(name: str, tmp_path: Path) -> None:
    example = one(tmp_path, PREFERENCES[name])
    assert isinstance(example, Preference)
    assert (example.prompt, example.chosen, example.rejected) == ((USER,), (ANSWER,), (WORSE,))


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Hi", "completion": "Hello", "label": False},
        {"prompt": [USER], "completion": [ANSWER], "label": False},
        {"messages": [USER, ANSWER], "label": False},
    ],
)
def test_a_judged_answer_is_understood(row: dict[str, Any], tmp_path: Path) -> None:
    example = one(tmp_path, row)
    assert isinstance(example, Judged)
    assert (example.prompt, example.answer, example.desirable) == ((USER,), (ANSWER,), False)


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({"prompt": "Hi", "chosen": "x", "rejected": "x"}, "same_answers"),
        ({"prompt": "Hi", "chosen": "x"}, "missing_key"),
        ({"chosen": "x", "rejected": "y"}, "missing_key"),
        ({"prompt": "Hi", "chosen": [USER], "rejected": "y"}, "bad_answer"),
        ({"prompt": [USER, ANSWER], "chosen": "x", "rejected": "y"}, "last_turn"),
        ({"prompt": "Hi", "completion": "x", "label": "yes"}, "bad_label"),
        ({"instruction": "Hi", "ouput": "x"}, "missing_key"),
        ({"instruction": "Hi", "output": "x", "history": ["a"]}, "bad_messages"),
        ({"conversations": [{"from": "humen", "value": "x"}]}, "unknown_role"),
        (
            {"conversations": [{"from": "human", "value": "x"}, {"from": "function_call", "value": "{"}]},
            "bad_tool_call",
        ),
        ({"text": "  "}, "empty_turn"),
    ],
)
def test_a_planted_error_of_a_format_is_found(row: dict[str, Any], code: str, tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(json.dumps(row) + "\n")
    found = read_examples([str(path)])
    assert code in [problem.code for problem in found.errors]
    assert not found.examples


def test_text_is_understood_by_line_and_by_paragraph(tmp_path: Path) -> None:
    assert one(tmp_path, {"text": "Own it."}) == PlainText(one(tmp_path, {"text": "Own it."}).origin, "Own it.")
    path = tmp_path / "book.txt"
    path.write_text("\n\nOne\ntwo \n\n\nthree\n")
    found = read_examples([str(path)])
    assert [(example.origin.line, example.text) for example in found.examples] == [(3, "One\ntwo "), (7, "three")]


def test_a_chosen_format_explains_lines_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"mesages": []}\n')
    (problem,) = read_examples([str(path)], format="chat").errors
    assert problem.message == "there is no 'messages' (is 'mesages' meant to be it?)"
    with pytest.raises(UserError, match="There is no format 'csv'"):
        read_examples([str(path)], format="csv")


def test_every_format_can_be_named() -> None:
    assert [format_named(known.name) for known in FORMATS] == list(FORMATS)
