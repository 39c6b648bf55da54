"""Prompts that the gateway recorded: what the client asked, and the answer it got as what is expected."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from freehold.core.dataset.problems import Findings
from freehold.core.dataset.sources.recorded import Recorded
from freehold.core.recording import RecordedExchange
from freehold.evaluate.prompts.prompt import Prompt, digest
from freehold.evaluate.results.record import Usage
from freehold.evaluate.suite.sources import RecordedPrompts
from freehold.evaluate.targets.reply import Reply

ANSWER = "answer"
SENT = (
    "temperature",
    "top_p",
    "max_tokens",
    "max_completion_tokens",
    "seed",
    "stop",
    "response_format",
    "tool_choice",
    "parallel_tool_calls",
    "presence_penalty",
    "frequency_penalty",
)
"""Parameters that a replay sends as the client did."""


def recorded_prompts(source: RecordedPrompts, root: Path) -> Iterator[tuple[Findings, Prompt | None]]:
    """Each record that is a whole chat, once; the same question asked again is left out. The reading is logged."""
    reading = Recorded(_query(source), root)
    shadows = _shadows(reading) if source.replay else {}
    seen: set[str] = set()
    for findings, exchange, chat in reading.exchanges():
        if exchange is None or chat is None:
            yield findings, None
            continue
        prompt = _prompt(chat, str(findings.origin))
        if not prompt.messages or prompt.id in seen:
            continue
        seen.add(prompt.id)
        if source.replay:
            kind = "tools" if chat["messages"][-1].get("tool_calls") else "text"
            sent = {name: exchange.request[name] for name in SENT if exchange.request.get(name) is not None}
            replies = {ANSWER: _reply(exchange, chat)} | shadows.get(prompt.id, {})
            changes = {"request": sent, "replies": replies, "slices": {"answer": kind}}
            prompt = prompt.model_copy(update=changes)
        yield findings, prompt


def _query(source: RecordedPrompts) -> str:
    days = {"since": source.since, "until": source.until}
    query = urlencode({name: day.isoformat() for name, day in days.items() if day})
    return f"{source.recorded}?{query}" if query else source.recorded


def _shadows(reading: Recorded) -> dict[str, dict[str, Reply]]:
    """What shadows said, by prompt and `shadow:<model>`."""
    found: dict[str, dict[str, Reply]] = {}
    for _, exchange, chat in reading.exchanges("shadow"):
        if exchange is not None and chat is not None:
            reply = _reply(exchange, chat)
            found.setdefault(_prompt(chat, "").id, {}).setdefault(f"shadow:{exchange.model}", reply)
    return found


def _reply(exchange: RecordedExchange, chat: dict[str, Any]) -> Reply:
    counted = exchange.response.get("usage") or {}
    prompt = counted.get("prompt_tokens", counted.get("input_tokens"))
    completion = counted.get("completion_tokens", counted.get("output_tokens"))
    usage = None if prompt is None or completion is None else Usage(prompt=prompt, completion=completion)
    return Reply(
        outcome="answered",
        body={"message": chat["messages"][-1]},
        fingerprint=exchange.fingerprint,
        usage=usage,
        latency_s=exchange.latency_s,
    )


def _prompt(chat: dict[str, Any], origin: str) -> Prompt:
    *asked, answer = chat["messages"]
    tools = chat.get("tools") or []
    calls = [
        {"name": call["function"]["name"], "arguments": call["function"].get("arguments")}
        for call in answer.get("tool_calls") or ()
    ]
    return Prompt(
        id=digest(asked, tools),
        messages=tuple(asked),
        tools=tuple(tools),
        expected=calls or answer.get("content"),
        origin=origin,
    )
