"""Alpaca's format. https://github.com/tatsu-lab/stanford_alpaca#data-release

`system` and `history` are LLaMA-Factory's: https://github.com/hiyouga/LLaMA-Factory/blob/main/data/README.md
"""

from typing import Any

from freehold.core.dataset.dialogue import check_conversation, read_messages
from freehold.core.dataset.examples import Conversation
from freehold.core.dataset.formats.keys import missing, report_unknown_keys, text_of
from freehold.core.dataset.problems import Findings

# `text` is the other three in Alpaca's own prompt, which no chat template writes.
_KNOWN = {"instruction", "input", "output", "system", "history", "text"}


class AlpacaFormat:
    """`{"instruction": …, "input": …, "output": …}`: one turn, after the pairs in `history`."""

    name = "alpaca"
    shape = '{"instruction": …, "input": …, "output": …}'

    def matches(self, row: dict[str, Any]) -> bool:
        return "instruction" in row and "chosen" not in row

    def read(self, row: dict[str, Any], findings: Findings) -> Conversation | None:
        report_unknown_keys(row, _KNOWN, findings)
        lacks = [missing(row, key, findings) for key in ("instruction", "output")]
        if any(lacks):
            return None
        raw: list[dict[str, Any]] = []
        if system := text_of(row, "system", findings):
            raw.append({"role": "system", "content": system})
        for pair in _history(row.get("history"), findings):
            raw += [{"role": "user", "content": pair[0]}, {"role": "assistant", "content": pair[1]}]
        raw += [
            {"role": "user", "content": instruction_of(row, findings)},
            {"role": "assistant", "content": text_of(row, "output", findings)},
        ]
        messages = None if findings.has_errors else read_messages(raw, "turns", findings)
        if messages is not None:
            check_conversation(messages, (), findings)
        return None if messages is None or findings.has_errors else Conversation(findings.origin, messages)


def instruction_of(row: dict[str, Any], findings: Findings) -> str:
    """The instruction and, on a line of its own, the input."""
    return "\n".join(text for key in ("instruction", "input") if (text := text_of(row, key, findings)))


def _history(history: Any, findings: Findings) -> list[list[str]]:
    if history is None:
        return []
    pairs = isinstance(history, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in history)
    if not pairs:
        findings.error("bad_messages", "history must be a list of pairs: [[question, answer], …]")
        return []
    return list(history)
