"""The functions that an assistant may call, and whether calls and results belong together."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from freehold.core.dataset.examples import Message
from freehold.core.dataset.problems import Findings
from freehold.core.dataset.wording import did_you_mean, shown, type_name

Tools = tuple[dict[str, Any], ...]


def read_tools(row: Mapping[str, Any], findings: Findings) -> Tools:
    """`tools`, or the older `functions`, as vLLM gives them to a template: description and parameters always there."""
    raw = row.get("tools")
    if raw is None and row.get("functions") is not None:
        raw = row["functions"]
    if isinstance(raw, str):
        raw = _parsed(raw, findings)
    if raw is None:
        return ()
    if not isinstance(raw, list):
        findings.error("bad_tools", f"tools is {type_name(raw)}; write a list")
        return ()
    return tuple(tool for index, item in enumerate(raw) if (tool := _tool(item, f"tools[{index}]", findings)))


def _parsed(raw: str, findings: Findings) -> Any:
    """ShareGPT files and tables hold tools as JSON in a string, or an empty one."""
    try:
        return json.loads(raw) if raw.strip() else []
    except ValueError as error:
        findings.error("bad_tools", f"tools is a string that is no JSON: {error}")
        return []


def _tool(item: Any, place: str, findings: Findings) -> dict[str, Any] | None:
    function = item.get("function", item) if isinstance(item, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        findings.error("bad_tools", f"{place} is no function with a name: {shown(item)}")
        return None
    named = {name: function.get(name) for name in ("name", "description", "parameters")}
    if function.get("strict") is not None:
        named["strict"] = function["strict"]
    return {"type": "function", "function": named}


def pair_calls(
    messages: Sequence[Message], tools: Tools, findings: Findings, *, place: str = "messages", first: int = 0
) -> None:
    """Report calls without result, results without call, and calls of functions that are not there.

    Calls and results without ids are paired by their order, and given ids. `place` is what the line calls the list of
    messages, `first` the index of the first message in it.
    """
    known = [tool["function"]["name"] for tool in tools]
    open_calls: list[dict[str, Any]] = []
    count = 0
    for index, message in enumerate(messages, start=first):
        here = f"{place}[{index}]"
        if message["role"] == "tool":
            _close(open_calls, message, here, findings)
            continue
        _report_open(open_calls, here, findings)
        open_calls = list(message.get("tool_calls", ()))
        for call in open_calls:
            count += 1
            # Nine letters and digits: Mistral's templates refuse anything else.
            call.setdefault("id", f"call{count:05d}")
            _report_unknown(call["function"]["name"], known, here, findings)


def _close(open_calls: list[dict[str, Any]], message: Message, place: str, findings: Findings) -> None:
    wanted = message.get("tool_call_id")
    matching = [call for call in open_calls if wanted is None or call["id"] == wanted]
    if wanted is None and message.get("name"):
        matching = [call for call in matching if call["function"]["name"] == message["name"]]
    if not matching:
        asked = [call["id"] for call in open_calls]
        what = f"tool_call_id {shown(wanted)}" if wanted is not None else "a result"
        why = f"the calls before it are {', '.join(asked)}" if asked else "no call before it waits for one"
        findings.error("result_without_call", f"{place}: {what} answers no call; {why}")
        return
    message["tool_call_id"] = matching[0]["id"]
    open_calls.remove(matching[0])


def _report_open(open_calls: list[dict[str, Any]], place: str, findings: Findings) -> None:
    for call in open_calls:
        name = call["function"]["name"]
        found = f"{place} comes before the result of call {call['id']} ({name}); add a message of role tool"
        findings.error("call_without_result", found)


def _report_unknown(name: str, known: list[str], place: str, findings: Findings) -> None:
    if not known:
        found = f"{place}: calls {name}, and the example names no tools; the prompt will not mention it when serving"
        findings.warning("no_tools", found)
    elif name not in known:
        found = f"{place}: calls '{name}'{did_you_mean(name, known)}; its tools are {', '.join(known)}"
        findings.error("unknown_tool", found)
