"""One chat message in OpenAI's shape, checked and normalised.

https://platform.openai.com/docs/api-reference/fine-tuning/chat-input
"""

import json
from collections.abc import Mapping
from typing import Any

from freehold.core.dataset.examples import Message
from freehold.core.dataset.problems import Findings
from freehold.core.dataset.wording import did_you_mean, shown, type_name

ROLES = ("system", "developer", "user", "assistant", "tool")
_REASONING = ("reasoning_content", "reasoning", "thinking")
_LEGACY_ROLE = "function"
_KNOWN = {
    "assistant": {"role", "content", "name", "refusal", "tool_calls", "function_call", "weight", *_REASONING},
    "tool": {"role", "content", "name", "tool_call_id"},
}
_KNOWN_ELSEWHERE = {"role", "content", "name"}


def read_message(value: Any, place: str, findings: Findings) -> Message | None:
    """The message in the one shape that templates get, or None after an error. `place` is `messages[2]`."""
    if not isinstance(value, dict):
        findings.error("bad_message", f"{place} is {type_name(value)}, and a message is an object")
        return None
    role = value.get("role")
    if role == _LEGACY_ROLE:
        role = "tool"
    if role not in ROLES:
        found = f"{place} has no role" if role is None else f"{place}: role {shown(role)} is unknown"
        hint = "" if role is None else did_you_mean(role, ROLES)
        findings.error("unknown_role", f"{found}{hint}; roles are {', '.join(ROLES)}")
        return None
    _report_unknown_keys(value, role, place, findings)
    before = len(findings.problems)
    message: Message = {"role": role, "content": _content(value, role, place, findings)}
    if role == "assistant":
        message |= _assistant_parts(value, place, findings)
        if not (message["content"].strip() or message.get("tool_calls")) and len(findings.problems) == before:
            findings.error("empty_turn", f"{place}: the assistant says nothing and calls nothing")
    if role == "tool" and isinstance(value.get("tool_call_id"), str):
        message["tool_call_id"] = value["tool_call_id"]
    if isinstance(value.get("name"), str):
        message["name"] = value["name"]
    return message


def _report_unknown_keys(value: Mapping[str, Any], role: str, place: str, findings: Findings) -> None:
    known = _KNOWN.get(role, _KNOWN_ELSEWHERE)
    for key in value.keys() - known:
        if key == "weight":
            findings.warning("unused_weight", f"{place}: weight is for assistant messages; it changes nothing here")
        # Tables pad every row with the keys of all others.
        elif value[key] is not None:
            findings.warning("unknown_key", f"{place}: key '{key}' is not used{did_you_mean(key, known)}")


def _content(value: Mapping[str, Any], role: str, place: str, findings: Findings) -> str:
    content = value.get("content")
    if content is None and role == "assistant":
        refusal = value.get("refusal")
        if isinstance(refusal, str):
            return refusal
        if not (value.get("tool_calls") or value.get("function_call")):
            findings.error("missing_content", f"{place}: the assistant has neither content nor tool_calls")
        return ""
    if content is None:
        findings.error("missing_content", f"{place}: a {role} message needs content")
        return ""
    text = _text(content, place, findings)
    # A tool may well answer with nothing.
    if text is not None and not text.strip() and role not in ("assistant", "tool"):
        findings.error("empty_turn", f"{place}: the {role} says nothing")
    return text or ""


def _text(content: Any, place: str, findings: Findings) -> str | None:
    """Text of a string or of text parts, joined as vLLM joins them."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        findings.error("bad_content", f"{place}: content is {type_name(content)}; write a string")
        return None
    texts = []
    for part in content:
        if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            kind = part.get("type") if isinstance(part, dict) else part
            findings.error("unsupported_content", f"{place}: a part of type {shown(kind)}; only text can be learnt")
            return None
        texts.append(part["text"])
    return "\n".join(texts)


def _assistant_parts(value: Mapping[str, Any], place: str, findings: Findings) -> dict[str, Any]:
    parts: dict[str, Any] = {}
    calls = value.get("tool_calls")
    if calls is None and value.get("function_call") is not None:
        calls = [{"type": "function", "function": value["function_call"]}]
    if calls:
        read = _calls(calls, place, findings)
        if read:
            parts["tool_calls"] = read
    reasoning = next((value[name] for name in _REASONING if isinstance(value.get(name), str)), None)
    if reasoning:
        parts["reasoning_content"] = reasoning
    weight = value.get("weight")
    if weight is not None:
        if isinstance(weight, bool) or weight not in (0, 1):
            findings.error("bad_weight", f"{place}: weight {shown(weight)} is neither 0 nor 1")
        else:
            parts["weight"] = int(weight)
    return parts


def _calls(calls: Any, place: str, findings: Findings) -> list[dict[str, Any]]:
    if not isinstance(calls, list):
        findings.error("bad_tool_call", f"{place}.tool_calls is {type_name(calls)}; write a list")
        return []
    return [call for index, raw in enumerate(calls) if (call := _call(raw, f"{place}.tool_calls[{index}]", findings))]


def _call(raw: Any, place: str, findings: Findings) -> dict[str, Any] | None:
    function = raw.get("function") if isinstance(raw, dict) else None
    if not isinstance(function, dict) or raw.get("type", "function") != "function":
        findings.error("bad_tool_call", f"{place} has no function; write {{'type': 'function', 'function': …}}")
        return None
    name = function.get("name")
    if not isinstance(name, str) or not name:
        findings.error("bad_tool_call", f"{place}.function has no name")
        return None
    arguments = read_arguments(function.get("arguments"), f"{place} ({name})", findings)
    call = {"type": "function", "function": {"name": name, "arguments": arguments}}
    return {"id": raw["id"]} | call if isinstance(raw.get("id"), str) else call


def read_arguments(raw: Any, place: str, findings: Findings) -> dict[str, Any]:
    """Arguments as an object; empty, with an error, where they are none."""
    if isinstance(raw, str) and raw.strip():
        try:
            raw = json.loads(raw)
        except ValueError as error:
            findings.error("bad_arguments", f"{place}: arguments are not JSON: {error}")
            return {}
    if raw is None or raw == "":
        return {}
    if not isinstance(raw, dict):
        findings.error("bad_arguments", f"{place}: arguments are {type_name(raw)}, and must be a JSON object")
        return {}
    return raw
