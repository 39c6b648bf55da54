"""Prompts of one's own: a JSON object a line."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from freehold.core.dataset.lines import read_json_lines
from freehold.core.dataset.messages import ROLES
from freehold.core.dataset.problems import Findings
from freehold.core.dataset.wording import did_you_mean, shown, type_name
from freehold.evaluate.prompts.prompt import Prompt, digest
from freehold.evaluate.suite.request import OURS

KEYS = ("messages", "prompt", "expected", "tools", "slices", "id", "request")


def read_prompts(path: Path) -> Iterator[tuple[Findings, Prompt | None]]:
    """Each line's problems, and its prompt unless they hold an error. Raises OSError."""
    for findings, row in read_json_lines(path, lambda count: None):
        prompt = _prompt(row, findings) if row is not None else None
        yield findings, None if findings.has_errors else prompt


def _prompt(row: dict[str, Any], findings: Findings) -> Prompt | None:
    for key in row.keys() - set(KEYS):
        findings.error("unknown_key", f"unknown key '{key}'{did_you_mean(key, KEYS)}; keys are {', '.join(KEYS)}")
    messages = _messages(row, findings)
    tools = _objects(row.get("tools"), "tools", findings)
    slices = _slices(row.get("slices"), findings)
    request = row.get("request") or {}
    if not isinstance(request, dict):
        findings.error("bad_request", f"request is {type_name(request)}, and must be an object of the request's fields")
    elif taken := [name for name in request if name in OURS]:
        findings.error("bad_request", f"request sets {', '.join(taken)}, which an evaluation sets itself")
    identifier = row.get("id")
    if identifier is not None and (not isinstance(identifier, str | int) or isinstance(identifier, bool)):
        findings.error("bad_id", f"id is {type_name(identifier)}, and must be a string or a number")
    if findings.has_errors:
        return None
    return Prompt(
        id=digest(messages, tools) if identifier in (None, "") else str(identifier),
        messages=tuple(messages),
        tools=tuple(tools),
        expected=row.get("expected"),
        slices=slices,
        request=request,
        origin=str(findings.origin),
    )


def _messages(row: dict[str, Any], findings: Findings) -> list[dict[str, Any]]:
    if ("messages" in row) == ("prompt" in row):
        found = "has both messages and prompt" if "messages" in row else "has neither messages nor prompt"
        findings.error("bad_prompt", f"the line {found}; write one of them")
        return []
    if "prompt" in row:
        if not isinstance(row["prompt"], str) or not row["prompt"].strip():
            findings.error("bad_prompt", f"prompt is {shown(row['prompt'])}, and must be text")
        return [{"role": "user", "content": row["prompt"]}]
    messages = _objects(row["messages"], "messages", findings)
    if not messages and not findings.has_errors:
        findings.error("bad_messages", "messages is empty")
    for index, message in enumerate(messages):
        role = message.get("role")
        if role not in ROLES:
            hint = did_you_mean(role, ROLES)
            findings.error("unknown_role", f"messages[{index}]: role {shown(role)} is unknown{hint}")
        elif not isinstance(message.get("content"), str | list) and not message.get("tool_calls"):
            findings.error("bad_content", f"messages[{index}] has no content")
    return messages


def _objects(value: Any, name: str, findings: Findings) -> list[dict[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        findings.error(f"bad_{name}", f"{name} is {shown(value)}, and must be a list of objects")
        return []
    return value


def _slices(value: Any, findings: Findings) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or any(isinstance(item, dict | list) or item is None for item in value.values()):
        findings.error("bad_slices", f"slices is {shown(value)}, and must name a value each: {{language: de}}")
        return {}
    return {name: item if isinstance(item, str) else shown(item) for name, item in value.items()}
