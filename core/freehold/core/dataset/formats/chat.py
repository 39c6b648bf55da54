"""OpenAI's chat format for fine-tuning.

https://platform.openai.com/docs/guides/supervised-fine-tuning#formatting-your-data
"""

from typing import Any

from freehold.core.dataset.dialogue import check_conversation, read_messages
from freehold.core.dataset.examples import Conversation
from freehold.core.dataset.formats.keys import missing, report_unknown_keys
from freehold.core.dataset.problems import Findings
from freehold.core.dataset.tools import read_tools

# parallel_tool_calls tells an API how to decode; nothing of it is in the text that is learnt.
_KNOWN = {"messages", "tools", "functions", "parallel_tool_calls"}


class ChatFormat:
    """`{"messages": […], "tools": […]}`."""

    name = "chat"
    shape = '{"messages": [{"role": …, "content": …}, …]}'

    def matches(self, row: dict[str, Any]) -> bool:
        return "messages" in row and "label" not in row

    def read(self, row: dict[str, Any], findings: Findings) -> Conversation | None:
        report_unknown_keys(row, _KNOWN, findings)
        if missing(row, "messages", findings):
            return None
        tools = read_tools(row, findings)
        messages = read_messages(row["messages"], "messages", findings)
        if messages is not None:
            check_conversation(messages, tools, findings)
        if messages is None or findings.has_errors:
            return None
        return Conversation(findings.origin, messages, tools)
