"""OpenAI's chat format for fine-tuning.

https://platform.openai.com/docs/guides/supervised-fine-tuning#formatting-your-data
"""

from typing import Any

from freehold.core.dataset.dialogue import check_conversation, read_messages
from freehold.core.dataset.examples import Conversation
from freehold.core.dataset.problems import Findings
from freehold.core.dataset.tools import read_tools
from freehold.core.dataset.wording import did_you_mean

# parallel_tool_calls tells an API how to decode; nothing of it is in the text that is learnt.
_KNOWN = {"messages", "tools", "functions", "parallel_tool_calls", "id", "metadata"}


class ChatFormat:
    """`{"messages": […], "tools": […]}`."""

    name = "chat"
    shape = '{"messages": [{"role": …, "content": …}, …]}'

    def matches(self, row: dict[str, Any]) -> bool:
        return "messages" in row and "label" not in row

    def read(self, row: dict[str, Any], findings: Findings) -> Conversation | None:
        report_unknown_keys(row, _KNOWN, findings)
        if "messages" not in row:
            findings.error("bad_messages", f"there is no 'messages'{did_you_mean_key(row, 'messages')}")
            return None
        tools = read_tools(row, findings)
        messages = read_messages(row["messages"], "messages", findings)
        if messages is not None:
            check_conversation(messages, tools, findings)
        if messages is None or findings.has_errors:
            return None
        return Conversation(findings.origin, messages, tools)


def report_unknown_keys(row: dict[str, Any], known: set[str], findings: Findings) -> None:
    """A warning for each key of a line that nothing reads."""
    for key in row.keys() - known:
        if row[key] is not None:
            findings.warning("unknown_key", f"key '{key}' is not used{did_you_mean(key, known)}")


def did_you_mean_key(row: dict[str, Any], wanted: str) -> str:
    """` (is 'mesages' meant?)` where a key of the line is nearly the wanted one."""
    for key in row:
        if did_you_mean(key, [wanted]):
            return f" (is '{key}' meant to be it?)"
    return ""
