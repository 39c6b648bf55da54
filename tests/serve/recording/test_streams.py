"""Streams put together: every answer is what the same request would have got without `stream`."""

import json
from typing import Any

import pytest

from freehold.serve.recording.events import events
from freehold.serve.recording.streams import assemble

CHAT = "/v1/chat/completions"
ABOUT = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 7, "model": "tiny"}
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def _sse(*documents: Any, named: bool = False, done: bool = False, end: str = "\n") -> bytes:
    lines = []
    for document in documents:
        name = f"event: {document['type']}{end}" if named else ""
        lines.append(f"{name}data: {json.dumps(document, ensure_ascii=False)}{end}{end}")
    return ("".join(lines) + (f"data: [DONE]{end}{end}" if done else "")).encode()


def _chunk(index: int, delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": index, "delta": delta, "logprobs": {"content": [1]}, "finish_reason": finish, **more}
    return {**ABOUT, "choices": [choice]}


def _call(index: int, arguments: str, **more: Any) -> dict[str, Any]:
    name = more.pop("name", None)
    function = {"arguments": arguments} | ({"name": name} if name else {})
    return {"tool_calls": [{"index": index, "function": function, **more}]}


def test_chat_with_two_choices_reasoning_and_usage() -> None:
    stream = _sse(
        _chunk(0, {"role": "assistant", "content": ""}),
        _chunk(1, {"role": "assistant", "content": ""}),
        _chunk(0, {"reasoning": "Fr", "reasoning_content": "Fr"}),
        _chunk(1, {"content": "Ly"}),
        _chunk(0, {"reasoning": "ance", "reasoning_content": "ance"}),
        _chunk(0, {"content": "Par"}),
        _chunk(1, {"content": "on"}, "length"),
        _chunk(0, {"content": "is"}),
        _chunk(0, {}, "stop", stop_reason=None),
        {**ABOUT, "choices": [], "usage": USAGE},
        done=True,
    )
    first = {"role": "assistant", "content": "Paris", "reasoning": "France", "reasoning_content": "France"}
    answer, is_whole = assemble(CHAT, [stream])
    assert is_whole
    assert answer == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 7,
        "model": "tiny",
        "choices": [
            {"index": 0, "message": first, "finish_reason": "stop"},
            {"index": 1, "message": {"role": "assistant", "content": "Lyon"}, "finish_reason": "length"},
        ],
        "usage": USAGE,
    }


def test_parallel_tool_calls_whose_pieces_are_mixed() -> None:
    stream = _sse(
        _chunk(0, {"role": "assistant", "content": ""}),
        _chunk(0, _call(0, "", id="call_a", type="function", name="find")),
        _chunk(0, _call(1, '{"n', id="call_b", type="function", name="count")),
        _chunk(0, _call(0, '{"q": ')),
        _chunk(0, _call(1, '": 2}')),
        _chunk(0, _call(0, '"x"}')),
        _chunk(0, {}, "tool_calls"),
        done=True,
    )
    (choice,) = assemble(CHAT, [stream]).answer["choices"]
    assert choice["message"] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "call_a", "type": "function", "function": {"name": "find", "arguments": '{"q": "x"}'}},
            {"id": "call_b", "type": "function", "function": {"name": "count", "arguments": '{"n": 2}'}},
        ],
    }


def test_tool_calls_without_an_index_are_told_apart_by_their_ids() -> None:
    pieces = [
        {"id": "a", "function": {"name": "find", "arguments": "{"}},
        {"id": "a", "function": {"name": "find", "arguments": "}"}},
        {"id": "b", "function": {"name": "count", "arguments": "{"}},
        {"function": {"arguments": "}"}},
    ]
    stream = _sse(*(_chunk(0, {"tool_calls": [piece]}) for piece in pieces), done=True)
    (choice,) = assemble(CHAT, [stream]).answer["choices"]
    calls = [(call["id"], call["function"]) for call in choice["message"]["tool_calls"]]
    assert calls == [("a", {"name": "find", "arguments": "{}"}), ("b", {"name": "count", "arguments": "{}"})]


def test_text_completions() -> None:
    pieces = [(0, "Pa", None), (1, "Ly", None), (0, "ris", "stop"), (1, "on", "stop")]
    documents = [
        {"id": "cmpl-1", "object": "text_completion", "choices": [{"index": i, "text": t, "finish_reason": f}]}
        for i, t, f in pieces
    ]
    answer, is_whole = assemble("/v1/completions", [_sse(*documents, done=True)])
    assert is_whole
    assert answer == {
        "object": "text_completion",
        "id": "cmpl-1",
        "choices": [
            {"index": 0, "text": "Paris", "finish_reason": "stop"},
            {"index": 1, "text": "Lyon", "finish_reason": "stop"},
        ],
    }


ANTHROPIC: list[dict[str, Any]] = [
    {
        "type": "message_start",
        "message": {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "tiny",
            "content": [],
            "stop_reason": None,
            "usage": {"input_tokens": 9, "output_tokens": 1},
        },
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
    {"type": "ping"},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "c2ln"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Let me "}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "look."}},
    {"type": "content_block_stop", "index": 1},
    {
        "type": "content_block_start",
        "index": 2,
        "content_block": {"type": "tool_use", "id": "toolu_1", "name": "find", "input": {}},
    },
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": ""}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": '{"q": '}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": '"x"}'}},
    {"type": "content_block_stop", "index": 2},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {"output_tokens": 15},
    },
    {"type": "message_stop"},
]


def test_an_anthropic_message() -> None:
    answer, is_whole = assemble("/v1/messages", [_sse(*ANTHROPIC, named=True)])
    assert is_whole
    assert answer == {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "tiny",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
            {"type": "text", "text": "Let me look."},
            {"type": "tool_use", "id": "toolu_1", "name": "find", "input": {"q": "x"}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {"input_tokens": 9, "output_tokens": 15},
    }


def test_a_torn_anthropic_message_keeps_what_came() -> None:
    answer, is_whole = assemble("/v1/messages", [_sse(*ANTHROPIC[:13], named=True)])
    assert not is_whole
    assert [block["type"] for block in answer["content"]] == ["thinking", "text", "tool_use"]
    assert answer["content"][2]["input"] == '{"q": '


RESPONSES: list[dict[str, Any]] = [
    {"type": "response.created", "response": {"id": "resp_1", "object": "response", "output": [], "status": "queued"}},
    {"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning", "id": "rs_1"}},
    {
        "type": "response.output_item.done",
        "output_index": 0,
        "item": {"type": "reasoning", "id": "rs_1", "content": []},
    },
    {"type": "response.output_item.added", "output_index": 1, "item": {"type": "message", "id": "msg_1"}},
    {"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": "Par"},
    {"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": "is"},
]


def test_a_response_is_its_last_events() -> None:
    final = {"id": "resp_1", "object": "response", "status": "completed", "output": [{"type": "message"}]}
    stream = _sse(*RESPONSES, {"type": "response.completed", "response": final}, named=True)
    assert assemble("/v1/responses", [stream]) == (final, True)


def test_a_torn_response_is_what_there_was() -> None:
    answer, is_whole = assemble("/v1/responses", [_sse(*RESPONSES, named=True)])
    assert not is_whole
    assert answer["id"] == "resp_1"
    assert answer["output"] == [
        {"type": "reasoning", "id": "rs_1", "content": []},
        {"type": "message", "id": "msg_1", "content": [{"type": "output_text", "text": "Paris"}]},
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_line_end_and_any_cut_gives_the_same(end: str) -> None:
    text = "caf\u00e9 \u2028 \U0001f600\u0085 na\u00efve"
    stream = _sse(_chunk(0, {"content": text}), _chunk(0, {}, "stop"), done=True, end=end)
    expected = assemble(CHAT, [stream])
    assert expected.answer["choices"][0]["message"]["content"] == text
    for cut in range(len(stream)):
        assert assemble(CHAT, [stream[:cut], stream[cut:]]) == expected


def test_every_torn_stream_is_put_together_and_known_as_torn() -> None:
    stream = _sse(_chunk(0, {"content": "Par"}), _chunk(0, {"content": "is"}))
    for cut in range(len(stream)):
        answer, is_whole = assemble(CHAT, [stream[:cut]])
        assert not is_whole
        assert [choice["message"]["content"] for choice in answer["choices"]] in ([], ["Par"], ["Paris"])


def test_an_error_in_mid_stream_is_kept_and_no_clean_end() -> None:
    stream = _sse(_chunk(0, {"content": "Par"}), {"error": {"message": "lost", "code": "engine_lost"}}, done=True)
    answer, is_whole = assemble(CHAT, [stream])
    assert (answer["error"]["code"], is_whole) == ("engine_lost", False)


ODD: list[Any] = [None, 1, "x", [], [1], {}, {"choices": 1}, {"choices": [1, None, {"delta": 1, "index": "a"}]}]
ODD += [{"choices": [{"delta": {"tool_calls": [1, {"function": 1}, {"index": 1.5}], "content": 3}}]}, {"type": 1}]
ODD += [{"type": name, "index": None} for name in ("message_start", "content_block_delta", "message_delta")]
ODD += [{"type": "content_block_delta", "index": 9, "delta": {"type": ["list"]}}]
ODD += [{"type": "response.output_item.done", "item": 1}, {"type": "response.output_text.delta"}, {"response": {}}]


@pytest.mark.parametrize("endpoint", [CHAT, "/v1/completions", "/v1/messages", "/v1/responses", "/v1/other"])
def test_unknown_events_are_passed_over(endpoint: str) -> None:
    for odd in ODD:
        assemble(endpoint, [f": comment\nid: 3\nretry\ndata: {json.dumps(odd)}\n\ndata: no json\n\n".encode()])
    assert assemble(endpoint, []).is_whole is False


def test_other_streams_are_kept_event_by_event() -> None:
    assert assemble("/v1/audio/transcriptions", [_sse({"text": "a"}, {"text": "b"}, done=True)]) == (
        {"events": [{"text": "a"}, {"text": "b"}]},
        True,
    )


def test_data_over_several_lines_is_one_event() -> None:
    (event,) = events([b'event: x\ndata: {"a":\ndata:1}\n\n'])
    assert (event.name, event.data) == ("x", {"a": 1})
