"""A recorded exchange as a line of chat training data.

OpenAI's format: https://platform.openai.com/docs/guides/supervised-fine-tuning#formatting-your-data
"""

import json
from typing import Any

from freehold.core.recording.format import RecordedExchange

Message = dict[str, Any]


def as_chat(exchange: RecordedExchange) -> dict[str, Any] | None:
    """`{"messages": […, the answer], "tools": […]}`, or None where there is nothing to learn from.

    That is: an error, a torn answer, one that ran into its token limit, media that were not kept, and APIs that are
    no chat. Chat completions and Anthropic messages are understood; thinking is left out.
    """
    if exchange.status != 200 or exchange.truncated or exchange.media_omitted:
        return None
    try:
        if exchange.endpoint == "/v1/chat/completions":
            return _from_chat(exchange.request, exchange.response)
        if exchange.endpoint == "/v1/messages":
            return _from_anthropic(exchange.request, exchange.response)
    except (KeyError, IndexError, TypeError, AttributeError):  # another shape than the API's
        return None
    return None


def _from_chat(request: dict[str, Any], response: dict[str, Any]) -> dict[str, Any] | None:
    choice = response["choices"][0]
    if choice["finish_reason"] not in ("stop", "tool_calls", "function_call"):
        return None
    message: Message = choice["message"]
    kept = ("content", "tool_calls", "function_call", "refusal")
    answer = {"role": "assistant"} | {name: message[name] for name in kept if message.get(name) is not None}
    if len(answer) == 1:
        return None
    return {"messages": [*request["messages"], answer]} | _kept(request, "tools", "functions", "parallel_tool_calls")


def _kept(request: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: request[name] for name in names if request.get(name) is not None}


def _from_anthropic(request: dict[str, Any], response: dict[str, Any]) -> dict[str, Any] | None:
    if response["stop_reason"] not in ("end_turn", "stop_sequence", "tool_use"):
        return None
    messages: list[Message] = []
    if request.get("system"):
        messages.append({"role": "system", "content": _text(request["system"])})
    for message in [*request["messages"], {"role": "assistant", "content": response["content"]}]:
        messages += _openai_messages(message["role"], message["content"])
    if not messages or messages[-1]["role"] != "assistant":
        return None
    tools = [_openai_tool(tool) for tool in request.get("tools") or ()]
    return {"messages": messages} | ({"tools": tools} if tools else {})


def _openai_messages(role: str, content: str | list[dict[str, Any]]) -> list[Message]:
    """One Anthropic message: results of tools come first there, and are messages of their own here."""
    if isinstance(content, str):
        return [{"role": role, "content": content}]
    results = [
        {"role": "tool", "tool_call_id": block["tool_use_id"], "content": _text(block.get("content") or "")}
        for block in content
        if block["type"] == "tool_result"
    ]
    message: Message = {"role": role}
    if text := _text([block for block in content if block["type"] == "text"]):
        message["content"] = text
    if calls := [_openai_call(block) for block in content if block["type"] == "tool_use"]:
        message["tool_calls"] = calls
    return results + ([message] if len(message) > 1 else [])


def _openai_call(block: dict[str, Any]) -> dict[str, Any]:
    arguments = json.dumps(block["input"], ensure_ascii=False)
    return {"id": block["id"], "type": "function", "function": {"name": block["name"], "arguments": arguments}}


def _openai_tool(tool: dict[str, Any]) -> dict[str, Any]:
    function = {"name": tool["name"], "parameters": tool["input_schema"]} | _kept(tool, "description")
    return {"type": "function", "function": function}


def _text(content: str | list[dict[str, Any]]) -> str:
    return content if isinstance(content, str) else "\n".join(block["text"] for block in content)
