"""ShareGPT's format, with the roles for tools that LLaMA-Factory gave it.

https://github.com/hiyouga/LLaMA-Factory/blob/main/data/README.md#sharegpt-format
"""

import json
from typing import Any

from freehold.core.dataset.dialogue import check_conversation
from freehold.core.dataset.examples import Conversation, Message
from freehold.core.dataset.formats.keys import missing, report_unknown_keys, text_of
from freehold.core.dataset.messages import read_message
from freehold.core.dataset.problems import Findings
from freehold.core.dataset.tools import read_tools
from freehold.core.dataset.wording import did_you_mean, shown, type_name

_CALL = "function_call"
_ROLES = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    _CALL: "assistant",
    "tool_call": "assistant",
    "observation": "tool",
    "tool": "tool",
    "tool_response": "tool",
    "function_response": "tool",
}
_KNOWN = {"conversations", "system", "tools"}


class ShareGptFormat:
    """`{"conversations": [{"from": "human", "value": …}, {"from": "gpt", "value": …}]}`."""

    name = "sharegpt"
    shape = '{"conversations": [{"from": "human", "value": …}, …]}'

    def matches(self, row: dict[str, Any]) -> bool:
        return "conversations" in row

    def read(self, row: dict[str, Any], findings: Findings) -> Conversation | None:
        report_unknown_keys(row, _KNOWN, findings)
        if missing(row, "conversations", findings):
            return None
        tools = read_tools(row, findings)
        turns = row["conversations"]
        if not isinstance(turns, list) or not turns:
            findings.error("bad_messages", "conversations must be a list with at least one turn")
            return None
        read = [_turn(turn, f"conversations[{index}]", findings) for index, turn in enumerate(turns)]
        system = text_of(row, "system", findings)
        head: list[Message] = [{"role": "system", "content": system}] if system else []
        messages = (*head, *(message for message in read if message is not None))
        if None not in read:
            check_conversation(messages, tools, findings, place="conversations", first=-len(head))
        return None if findings.has_errors else Conversation(findings.origin, messages, tools)


def _turn(turn: Any, place: str, findings: Findings) -> Message | None:
    if not isinstance(turn, dict):
        findings.error("bad_message", f"{place} is {type_name(turn)}, and a turn is an object")
        return None
    speaker = turn.get("from")
    if speaker not in _ROLES:
        known = ", ".join(_ROLES)
        hint = did_you_mean(speaker, _ROLES)
        findings.error("unknown_role", f"{place}: from {shown(speaker)} is unknown{hint}; known are {known}")
        return None
    for key in turn.keys() - {"from", "value", "weight"}:
        if turn[key] is not None:
            findings.warning("unknown_key", f"{place}: key '{key}' is not used{did_you_mean(key, ['from', 'value'])}")
    raw: dict[str, Any] = {"role": _ROLES[speaker], "content": turn.get("value")}
    if turn.get("weight") is not None:
        raw["weight"] = turn["weight"]
    if speaker in (_CALL, "tool_call"):
        calls = _calls(turn.get("value"), place, findings)
        if not calls:
            return None
        raw |= {"content": None, "tool_calls": calls}
    return read_message(raw, place, findings)


def _calls(value: Any, place: str, findings: Findings) -> list[dict[str, Any]]:
    """`{"name": …, "arguments": {…}}`, or a list of them, as JSON in a string."""
    try:
        parsed = json.loads(value) if isinstance(value, str) else value
    except ValueError as error:
        findings.error("bad_tool_call", f"{place}: the call is not JSON: {error}")
        return []
    calls = parsed if isinstance(parsed, list) else [parsed]
    if not calls or not all(isinstance(call, dict) for call in calls):
        findings.error("bad_tool_call", f'{place}: a call is {{"name": …, "arguments": {{…}}}}')
        return []
    return [{"type": "function", "function": call} for call in calls]
