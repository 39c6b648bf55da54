"""Prompts that the gateway recorded: what the client asked, and the answer it got as what is expected."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from freehold.core.dataset.problems import Findings
from freehold.core.dataset.sources.recorded import Recorded
from freehold.evaluate.prompts.prompt import Prompt, digest
from freehold.evaluate.suite.sources import RecordedPrompts


def recorded_prompts(source: RecordedPrompts, root: Path) -> Iterator[tuple[Findings, Prompt | None]]:
    """Each record that is a whole chat, once; the same question asked again is left out. The reading is logged."""
    days = {"since": source.since, "until": source.until}
    query = urlencode({name: day.isoformat() for name, day in days.items() if day})
    seen: set[str] = set()
    for findings, chat in Recorded(f"{source.recorded}?{query}" if query else source.recorded, root).rows():
        if chat is None:
            yield findings, None
            continue
        *asked, answer = chat["messages"]
        tools = chat.get("tools") or []
        identifier = digest(asked, tools)
        if asked and identifier not in seen:
            seen.add(identifier)
            yield findings, _prompt(identifier, asked, tools, answer, str(findings.origin))


def _prompt(identifier: str, asked: list[Any], tools: list[Any], answer: dict[str, Any], origin: str) -> Prompt:
    calls = [
        {"name": call["function"]["name"], "arguments": call["function"].get("arguments")}
        for call in answer.get("tool_calls") or ()
    ]
    return Prompt(
        id=identifier,
        messages=tuple(asked),
        tools=tuple(tools),
        expected=calls or answer.get("content"),
        origin=origin,
    )
