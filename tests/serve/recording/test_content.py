"""Which fields are content: all of them are searched, and structure stays what it is."""

import json
from typing import Any

import pytest

from freehold.serve.recording.content import redact_document

NAME = "Zaphod"
DIGITS = "5550001234"


def _redact(text: str) -> tuple[str, dict[str, str]]:
    found = {value: "X" for value in (NAME, DIGITS) if value in text}
    return text.replace(NAME, "<X>").replace(DIGITS, "<X>"), found


def _call(arguments: str) -> dict[str, Any]:
    function = {"name": "find", "arguments": arguments}
    return {"role": "assistant", "tool_calls": [{"id": "call_1", "type": "function", "function": function}]}


CONTENT = {
    "chat, system and user": {"messages": [{"role": "system", "content": NAME}, {"role": "user", "content": NAME}]},
    "parts": {"messages": [{"role": "user", "content": [{"type": "text", "text": NAME}]}]},
    "the caller's user": {"user": NAME, "safety_identifier": NAME},
    "metadata, keys too": {"metadata": {NAME: "1", "id": NAME}},
    "arguments": {"messages": [_call(json.dumps({"id": NAME, NAME: [{"phone": int(DIGITS)}]}))]},
    "arguments with escapes": {"messages": [_call('{"q": "\\u005aaphod"}')]},
    "torn arguments": {"messages": [_call('{"q": "Zaphod')]},
    "legacy call": {"messages": [{"role": "assistant", "function_call": {"name": "f", "arguments": f'"{NAME}"'}}]},
    "tool result": {"messages": [{"role": "tool", "tool_call_id": "call_1", "content": f'{{"n": "{NAME}"}}'}]},
    "prediction and stop": {"prediction": {"content": NAME}, "stop": [NAME]},
    "tool descriptions": {"tools": [{"type": "function", "function": {"name": "f", "description": NAME}}]},
    "completion prompts": {"prompt": [NAME, NAME]},
    "answers": {"choices": [{"index": 0, "message": {"content": NAME, "reasoning": NAME, "refusal": NAME}}]},
    "anthropic": {"system": NAME, "content": [{"type": "tool_use", "id": "t", "input": {"type": NAME}}]},
    "responses": {"instructions": NAME, "input": [{"type": "message", "content": [{"text": NAME}]}]},
    "content in disguise": {"messages": [{"role": f"user {NAME}"}], "id": f"of {NAME}"},
    "errors": {"error": {"message": f"no such {NAME}", "code": 400}},
}


@pytest.mark.parametrize("name", CONTENT)
def test_content_is_searched(name: str) -> None:
    text = json.dumps(redact_document(CONTENT[name], _redact))
    assert NAME not in text and DIGITS not in text and "\\u005a" not in text
    assert "<X>" in text


def test_arguments_stay_json() -> None:
    document = redact_document({"messages": [_call(json.dumps({"name": NAME, "n": 1, "ok": True}))]}, _redact)
    arguments = document["messages"][0]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(arguments) == {"name": "<X>", "n": 1, "ok": True}


def test_arguments_without_personal_data_keep_every_byte() -> None:
    document = {"messages": [_call('{"a":  1.50, "b":"x"}')]}
    assert redact_document(document, _redact) == document


def test_structure_stays() -> None:
    def everything(text: str) -> tuple[str, dict[str, str]]:
        return "<X>", {}

    document = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1760000000,
        "model": "org/model-7b:latest",
        "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", **_call("1")}}],
        "usage": {"prompt_tokens": 12345678},
        "system_fingerprint": "fh-1",
    }
    redacted = redact_document(document, everything)
    redacted["choices"][0]["message"]["tool_calls"][0]["function"] = document["choices"][0]["message"]["tool_calls"][0][
        "function"
    ]
    assert redacted == document


def test_a_media_stub_stays() -> None:
    stub = f"freehold-media:image/png:1:sha256:{'5' * 64}"
    document = {"url": stub}
    assert redact_document(document, lambda text: ("<X>", {})) == document
    assert redact_document({"url": stub + NAME}, _redact)["url"].endswith("<X>")
