"""`tool-calls`: the answer calls the expected functions with the expected arguments."""

import json
from typing import Any, Literal

from freehold.evaluate.prompts.prompt import Prompt
from freehold.evaluate.results.record import Score
from freehold.evaluate.scorers.comparing import as_json, covers, same
from freehold.evaluate.scorers.scorer import Ask, Sample, Scorer, verdict

Call = dict[str, Any]
"""`{name, arguments}`, arguments as an object."""


class ToolCalls(Scorer):
    """`expected` is a call `{name, arguments}` or a list of them; an empty list expects none."""

    kind: Literal["tool-calls"]
    ordered: bool = False
    """The calls must come in the expected order."""
    arguments: Literal["equal", "covered", "ignored"] = "equal"
    """`covered`: objects may hold more than is expected; `ignored`: names alone count."""

    def lack(self, prompt: Prompt) -> str:
        if _expected(prompt.expected) is None:
            return "expected must be a call {name, arguments}, or a list of calls"
        return ""

    async def score(self, sample: Sample, ask: Ask) -> Score:
        expected = _expected(sample.prompt.expected) or []
        came = [_came(call) for call in sample.reply.message.get("tool_calls") or ()]
        is_right = len(came) == len(expected) and (
            all(map(self._fits, came, expected)) if self.ordered else self._pairs_up(came, expected)
        )
        shown = ", ".join(map(_shown, came)) or f"no call; {sample.reply.text}"
        return verdict(is_right, ", ".join(map(_shown, expected)) or "no call", shown)

    def _fits(self, came: Call, expected: Call) -> bool:
        if came["name"] != expected["name"]:
            return False
        if self.arguments == "ignored":
            return True
        compare = same if self.arguments == "equal" else covers
        return compare(came["arguments"], expected["arguments"])

    def _pairs_up(self, came: list[Call], expected: list[Call]) -> bool:
        """Whether each call has an expected one of its own, by augmenting paths: with `covered` several may fit."""
        taken: dict[int, int] = {}

        def place(call: int, tried: set[int]) -> bool:
            for slot in range(len(expected)):
                if slot not in tried and self._fits(came[call], expected[slot]):
                    tried.add(slot)
                    if slot not in taken or place(taken[slot], tried):
                        taken[slot] = call
                        return True
            return False

        return all(place(call, set()) for call in range(len(came)))


def _expected(value: Any) -> list[Call] | None:
    calls = [value] if isinstance(value, dict) else value
    if not isinstance(calls, list):
        return None
    read = [_call(call.get("function", call)) if isinstance(call, dict) else None for call in calls]
    return [call for call in read if call is not None] if None not in read else None


def _came(call: dict[str, Any]) -> Call:
    function = call.get("function") or {}
    return _call(function) or {
        "name": function.get("name"),
        "arguments": f"no JSON object: {function.get('arguments')}",
    }


def _call(function: dict[str, Any]) -> Call | None:
    """None where it has no name, or arguments that are no object."""
    arguments = function.get("arguments")
    if isinstance(arguments, str) and arguments.strip():
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError):
            return None
    arguments = arguments or {}
    if not isinstance(function.get("name"), str) or not isinstance(arguments, dict):
        return None
    return {"name": function["name"], "arguments": arguments}


def _shown(call: Call) -> str:
    return f"{call['name']}({as_json(call['arguments'])})"
