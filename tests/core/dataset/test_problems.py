"""Each way in which a line can be wrong is found, named with its line, and does not hide the others."""

import json
from pathlib import Path
from typing import Any

import pytest

from freehold.core.dataset.reading import Dataset, read_examples

USER = {"role": "user", "content": "What is the capital of France?"}
ANSWER = {"role": "assistant", "content": "Paris."}
CALL = {"id": "c1", "type": "function", "function": {"name": "get_time", "arguments": '{"zone": "UTC"}'}}
TOOL = {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object"}}}


def read(folder: Path, *rows: Any, format: str = "auto") -> Dataset:
    path = folder / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_examples([str(path)], format=format)


def chat(*messages: Any, **beside: Any) -> dict[str, Any]:
    return {"messages": list(messages)} | beside


PLANTED = [
    ("unknown_role", chat(USER, {"role": "asistant", "content": "x"}), "did you mean 'assistant'"),
    ("unknown_role", chat(USER, {"content": "x"}), "messages[1] has no role"),
    ("bad_message", chat(USER, "hello"), "messages[1] is a string"),
    ("bad_messages", {"messages": "hello"}, "messages is a string"),
    ("bad_messages", {"messages": []}, "messages is empty"),
    ("empty_turn", chat({"role": "user", "content": "  "}, ANSWER), "the user says nothing"),
    ("empty_turn", chat(USER, {"role": "assistant", "content": ""}), "messages[1]: the assistant"),
    ("missing_content", chat({"role": "user"}, ANSWER), "a user message needs content"),
    ("missing_content", chat(USER, {"role": "assistant"}), "messages[1]: the assistant has neither"),
    ("bad_content", chat({"role": "user", "content": 7}, ANSWER), "content is a number"),
    (
        "unsupported_content",
        chat({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}, ANSWER),
        '"image_url"; only text',
    ),
    ("no_assistant_turn", chat(USER), "no assistant message"),
    ("last_turn", chat(USER, ANSWER, USER), "the last message is the user's"),
    ("bad_weight", chat(USER, ANSWER | {"weight": 0.5}), "weight 0.5 is neither 0 nor 1"),
    ("nothing_trained", chat(USER, ANSWER | {"weight": 0}), "weight 0"),
    (
        "bad_arguments",
        chat(USER, {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{x"}}]}),
        "(f): arguments are not JSON",
    ),
    (
        "bad_arguments",
        chat(USER, {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "[1]"}}]}),
        "arguments are a list",
    ),
    ("bad_tool_call", chat(USER, {"role": "assistant", "tool_calls": [{"name": "f"}]}), "has no function"),
    ("bad_tools", chat(USER, ANSWER, tools=[{"type": "function"}]), "tools[0] is no function with a name"),
    (
        "call_without_result",
        chat(USER, {"role": "assistant", "tool_calls": [CALL]}, USER, ANSWER),
        "call c1 (get_time)",
    ),
    (
        "result_without_call",
        chat(USER, {"role": "tool", "tool_call_id": "c9", "content": "12:00"}, ANSWER),
        'tool_call_id "c9" answers no call',
    ),
    (
        "unknown_tool",
        chat(USER, {"role": "assistant", "tool_calls": [CALL]}, tools=[{"function": {"name": "get_tyme"}}]),
        "did you mean 'get_tyme'",
    ),
]


@pytest.mark.parametrize(("code", "row", "said"), PLANTED)
def test_a_planted_error_is_found(code: str, row: Any, said: str, tmp_path: Path) -> None:
    found = read(tmp_path, chat(USER, ANSWER), row)
    (error,) = found.errors
    assert (error.code, error.origin.line) == (code, 2)
    assert said in error.message
    assert [example.origin.line for example in found.examples] == [1]


def test_an_unknown_format_names_those_that_are_known(tmp_path: Path) -> None:
    (error,) = read(tmp_path, {"question": "x", "answer": "y"}).errors
    assert error.message.startswith(
        "the line has 'question', 'answer', which is no known format; known are preference:"
    )


@pytest.mark.parametrize(
    ("row", "code", "said"),
    [
        (chat(USER, ANSWER | {"wieght": 0}), "unknown_key", "did you mean 'weight'"),
        (chat(USER | {"weight": 0}, ANSWER), "unused_weight", "for assistant messages"),
        (chat(USER, ANSWER, tolls=[]), "unknown_key", "did you mean 'tools'"),
        (chat(ANSWER, USER, ANSWER), "first_turn", "speaks first"),
        (chat(USER, {"role": "assistant", "tool_calls": [CALL]}), "no_tools", "calls get_time"),
    ],
)
def test_a_warning_does_not_drop_the_example(row: Any, code: str, said: str, tmp_path: Path) -> None:
    found = read(tmp_path, row)
    assert [(problem.code, problem.severity) for problem in found.problems] == [(code, "warning")]
    assert said in found.problems[0].message
    assert len(found.examples) == 1


def test_every_problem_of_a_file_is_reported_at_once(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    good = json.dumps(chat(USER, ANSWER)).encode()
    two_errors = json.dumps(chat({"role": "user", "content": ""}, {"role": "boss", "content": "x"})).encode()
    lines = [good, b'{"messages": [}', b"", b'{"messages": "\xff"}', b"[1]", two_errors, b'{"text": "x"}']
    path.write_bytes(b"\n".join(lines))
    problems = read_examples([str(path)]).problems
    assert [(problem.origin.line, problem.code, problem.column) for problem in problems] == [
        (2, "bad_json", 15),
        (4, "encoding", 15),
        (5, "not_an_object", None),
        (6, "empty_turn", None),
        (6, "unknown_role", None),
        (7, "mixed_formats", None),
    ]
    assert str(problems[0]) == f"{path}:2:15: error: not JSON: Expecting value"


def test_a_line_cut_at_its_end_is_said_to_be_wrong_there(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"messages": []\n')
    (problem,) = read_examples([str(path)]).problems
    assert (problem.code, problem.column) == ("bad_json", 16)


def test_an_empty_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text("\n\n")
    assert [problem.code for problem in read_examples([str(path)]).errors] == ["empty"]


def test_a_line_nested_too_deeply_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"messages":' + "[" * 200_000 + "]" * 200_000 + "}\n")
    assert [problem.code for problem in read_examples([str(path)]).errors] == ["bad_json"]
