"""Pairs of a better and a worse answer.

OpenAI's: https://platform.openai.com/docs/guides/direct-preference-optimization
TRL's: https://huggingface.co/docs/trl/dataset_formats#preference
"""

from typing import Any

from freehold.core.dataset.dialogue import read_answer, read_prompt
from freehold.core.dataset.examples import Message, Preference
from freehold.core.dataset.formats.alpaca import instruction_of
from freehold.core.dataset.formats.keys import missing, report_unknown_keys
from freehold.core.dataset.problems import Findings
from freehold.core.dataset.tools import Tools, pair_calls, read_tools
from freehold.core.dataset.wording import type_name

_OPENAI = ("input", "preferred_output", "non_preferred_output")


class PreferenceFormat:
    """`{"prompt": …, "chosen": …, "rejected": …}`, or OpenAI's `input`, `preferred_output`, `non_preferred_output`."""

    name = "preference"
    shape = '{"prompt": …, "chosen": …, "rejected": …}'

    def matches(self, row: dict[str, Any]) -> bool:
        return bool({"chosen", "rejected", "preferred_output", "non_preferred_output"} & row.keys())

    def read(self, row: dict[str, Any], findings: Findings) -> Preference | None:
        if set(_OPENAI) & row.keys() - {"input"}:
            return self._read_openai(row, findings)
        report_unknown_keys(row, {"prompt", "chosen", "rejected", "tools", "instruction", "input"}, findings)
        lacks = [missing(row, key, findings) for key in ("chosen", "rejected")]
        if any(lacks):
            return None
        tools = read_tools(row, findings)
        raw_prompt, chosen, rejected = _parts(row, findings)
        if raw_prompt is None:
            missing(row, "prompt", findings)
            return None
        prompt = read_prompt(raw_prompt, "prompt", findings)
        answers = [read_answer(chosen, "chosen", findings), read_answer(rejected, "rejected", findings)]
        return _preference(prompt, answers, ("chosen", "rejected"), tools, findings)

    def _read_openai(self, row: dict[str, Any], findings: Findings) -> Preference | None:
        report_unknown_keys(row, set(_OPENAI), findings)
        lacks = [missing(row, key, findings) for key in _OPENAI]
        if any(lacks):
            return None
        given = row["input"]
        if not isinstance(given, dict):
            findings.error("bad_messages", f'input is {type_name(given)}; write {{"messages": […]}}')
            return None
        report_unknown_keys(given, {"messages", "tools", "parallel_tool_calls"}, findings)
        if missing(given, "messages", findings):
            return None
        prompt = read_prompt(given["messages"], "input.messages", findings)
        answers = [read_answer(row[key], key, findings) for key in _OPENAI[1:]]
        return _preference(prompt, answers, _OPENAI[1:], read_tools(given, findings), findings)


def _parts(row: dict[str, Any], findings: Findings) -> tuple[Any, Any, Any]:
    """Prompt, chosen and rejected; without a prompt, what both chats begin with."""
    chosen, rejected = row["chosen"], row["rejected"]
    if row.get("prompt") is not None:
        return row["prompt"], chosen, rejected
    if isinstance(row.get("instruction"), str):
        return instruction_of(row, findings), chosen, rejected
    if not (isinstance(chosen, list) and isinstance(rejected, list)):
        return None, chosen, rejected
    shared = 0
    while shared < min(len(chosen), len(rejected)) - 1 and chosen[shared] == rejected[shared]:
        shared += 1
    return chosen[:shared] or None, chosen[shared:], rejected[shared:]


def _preference(
    prompt: tuple[Message, ...] | None,
    answers: list[tuple[Message, ...] | None],
    names: tuple[str, ...],
    tools: Tools,
    findings: Findings,
) -> Preference | None:
    chosen, rejected = answers
    if prompt is None or chosen is None or rejected is None:
        return None
    pair_calls(prompt, tools, findings, place="prompt")
    for answer, name in zip((chosen, rejected), names, strict=True):
        pair_calls(answer, tools, findings, place=name)
    if chosen == rejected:
        findings.error("same_answers", f"{names[0]} and {names[1]} are the same, so there is nothing to prefer")
    return None if findings.has_errors else Preference(findings.origin, prompt, chosen, rejected, tools)
