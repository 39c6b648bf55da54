"""Recorded exchanges as chat training data."""

import json
from typing import Any

import pytest
from fixtures.recordings import recorded

from freehold.core.recording import as_chat

QUESTION = {"role": "user", "content": "The capital of France?"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "find", "arguments": '{"q": "x"}'}}
TOOL = {"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}


def _answer(message: dict[str, Any], finish_reason: str = "stop") -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": message, "finish_reason": finish_reason}]}


def test_the_answer_follows_the_messages() -> None:
    assert as_chat(recorded()) == {"messages": [QUESTION, {"role": "assistant", "content": "Paris"}]}


def test_tools_and_calls_are_kept_and_thinking_is_not() -> None:
    message = {"role": "assistant", "content": None, "reasoning": "hm", "tool_calls": [CALL]}
    request = {"messages": [QUESTION], "tools": [TOOL], "temperature": 0, "parallel_tool_calls": False}
    assert as_chat(recorded(request=request, response=_answer(message, "tool_calls"))) == {
        "messages": [QUESTION, {"role": "assistant", "tool_calls": [CALL]}],
        "tools": [TOOL],
        "parallel_tool_calls": False,
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"status": 400},
        {"truncated": True},
        {"media_omitted": 1},
        {"endpoint": "/v1/embeddings"},
        {"response": {}},
        {"response": _answer({"role": "assistant", "content": "Par"}, "length")},
        {"response": _answer({"role": "assistant", "content": None})},
        {"response": {"choices": "none"}},
        {"request": {"omitted": {}}},
    ],
)
def test_what_teaches_nothing_is_left_out(fields: dict[str, Any]) -> None:
    assert as_chat(recorded(**fields)) is None


def test_an_anthropic_conversation_becomes_chat_messages() -> None:
    request = {
        "system": [{"type": "text", "text": "Be brief."}],
        "tools": [{"name": "find", "description": "d", "input_schema": {"type": "object"}}],
        "messages": [
            {"role": "user", "content": "Find x"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "find", "input": {"q": "x"}}]},
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "found"}]},
                    {"type": "text", "text": "And?"},
                ],
            },
        ],
    }
    content = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "There."}]
    exchange = recorded(
        endpoint="/v1/messages", request=request, response={"content": content, "stop_reason": "end_turn"}
    )
    chat = as_chat(exchange)
    assert chat is not None
    (call,) = chat["messages"][2].pop("tool_calls")
    assert json.loads(call["function"].pop("arguments")) == {"q": "x"}
    assert call == {"id": "t1", "type": "function", "function": {"name": "find"}}
    assert chat == {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Find x"},
            {"role": "assistant"},
            {"role": "tool", "tool_call_id": "t1", "content": "found"},
            {"role": "user", "content": "And?"},
            {"role": "assistant", "content": "There."},
        ],
        "tools": [
            {"type": "function", "function": {"name": "find", "description": "d", "parameters": {"type": "object"}}}
        ],
    }
