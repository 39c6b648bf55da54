"""A prompt and its completion, as OpenAI's first fine-tuning API and TRL have it."""

from typing import Any

from freehold.core.dataset.dialogue import check_conversation, read_answer, read_prompt
from freehold.core.dataset.examples import Conversation
from freehold.core.dataset.formats.keys import missing, report_unknown_keys
from freehold.core.dataset.problems import Findings
from freehold.core.dataset.tools import read_tools


class CompletionFormat:
    """`{"prompt": …, "completion": …}`: strings or messages; one turn of a chat is learnt."""

    name = "completion"
    shape = '{"prompt": …, "completion": …}'

    def matches(self, row: dict[str, Any]) -> bool:
        return "prompt" in row and "completion" in row and "label" not in row

    def read(self, row: dict[str, Any], findings: Findings) -> Conversation | None:
        report_unknown_keys(row, {"prompt", "completion", "tools"}, findings)
        lacks = [missing(row, key, findings) for key in ("prompt", "completion")]
        if any(lacks):
            return None
        tools = read_tools(row, findings)
        prompt = read_prompt(row["prompt"], "prompt", findings)
        answer = read_answer(row["completion"], "completion", findings)
        if prompt is None or answer is None:
            return None
        # What was said before is the prompt; the completion alone is learnt.
        before = tuple(m | {"weight": 0} if m["role"] == "assistant" else m for m in prompt)
        check_conversation((*before, *answer), tools, findings, place="prompt")
        return None if findings.has_errors else Conversation(findings.origin, (*before, *answer), tools)
