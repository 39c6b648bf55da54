"""Answers that were judged one by one. https://huggingface.co/docs/trl/dataset_formats#unpaired-preference"""

from typing import Any

from freehold.core.dataset.dialogue import read_answer, read_prompt
from freehold.core.dataset.examples import Judged
from freehold.core.dataset.formats.keys import missing, report_unknown_keys
from freehold.core.dataset.problems import Findings
from freehold.core.dataset.tools import pair_calls, read_tools
from freehold.core.dataset.wording import shown


class KtoFormat:
    """`{"prompt": …, "completion": …, "label": true}`, or `messages` that end with the judged answer."""

    name = "kto"
    shape = '{"prompt": …, "completion": …, "label": true}'

    def matches(self, row: dict[str, Any]) -> bool:
        return "label" in row and ("completion" in row or "messages" in row)

    def read(self, row: dict[str, Any], findings: Findings) -> Judged | None:
        report_unknown_keys(row, {"prompt", "completion", "messages", "label", "tools"}, findings)
        desirable = row.get("label")
        if not missing(row, "label", findings) and desirable not in (True, False):
            findings.error("bad_label", f"label {shown(desirable)} is neither true nor false")
        raw_prompt, raw_answer, names = row.get("prompt"), row.get("completion"), ("prompt", "completion")
        if isinstance(row.get("messages"), list) and len(row["messages"]) > 1:
            raw_prompt, raw_answer, names = row["messages"][:-1], row["messages"][-1:], ("messages", "messages[-1:]")
        if raw_prompt is None or raw_answer is None:
            for key in ("prompt", "completion"):
                missing(row, key, findings)
            return None
        tools = read_tools(row, findings)
        prompt = read_prompt(raw_prompt, names[0], findings)
        answer = read_answer(raw_answer, names[1], findings)
        if prompt is None or answer is None:
            return None
        pair_calls(prompt, tools, findings, place=names[0])
        pair_calls(answer, tools, findings, place=names[1])
        return None if findings.has_errors else Judged(findings.origin, prompt, answer, bool(desirable), tools)
