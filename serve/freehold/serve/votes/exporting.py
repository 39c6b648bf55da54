"""Votes as data that `freehold evaluate` and `freehold finetune` read."""

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

from freehold.serve.votes.vote import Choice, Vote

Form = Literal["suite", "preference", "votes"]


def exported(votes: Iterable[Vote], form: Form) -> Iterator[bytes]:
    """JSON lines.

    `suite`: prompts of an evaluation, the preferred answer expected; of several votes on one prompt the last counts.
    `preference`: OpenAI's form for DPO, a line for each answer that lost. `votes`: as they are kept.
    """
    for row in FORMS[form](votes):
        yield json.dumps(row, ensure_ascii=False).encode() + b"\n"


def _as_suite(votes: Iterable[Vote]) -> Iterator[dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {}
    for vote in votes:
        best = _best(vote)
        if best is None or not isinstance(best.message.get("content"), str):
            continue
        row: dict[str, Any] = {"messages": list(vote.messages), "expected": best.message["content"]}
        row |= {"tools": list(vote.tools)} if vote.tools else {}
        row |= {"request": vote.request} if vote.request else {}
        row["slices"] = {"preferred": best.model}
        rows[json.dumps([vote.messages, vote.tools], sort_keys=True)] = row
    yield from rows.values()


def _as_preferences(votes: Iterable[Vote]) -> Iterator[dict[str, Any]]:
    for vote in votes:
        best = _best(vote)
        if best is None:
            continue
        asked: dict[str, Any] = {"messages": list(vote.messages)} | ({"tools": list(vote.tools)} if vote.tools else {})
        for other in vote.choices:
            if other is not best and _essence(other) != _essence(best):
                yield {
                    "input": asked,
                    "preferred_output": [_essence(best)],
                    "non_preferred_output": [_essence(other)],
                }


def _as_kept(votes: Iterable[Vote]) -> Iterator[dict[str, Any]]:
    for vote in votes:
        yield vote.model_dump(mode="json")


FORMS: dict[Form, Callable[[Iterable[Vote]], Iterator[dict[str, Any]]]] = {
    "suite": _as_suite,
    "preference": _as_preferences,
    "votes": _as_kept,
}


def _best(vote: Vote) -> Choice | None:
    return next((choice for choice in vote.choices if choice.model == vote.best), None)


def _essence(choice: Choice) -> dict[str, Any]:
    """What is learnt of a message: text and calls."""
    kept = {name: choice.message[name] for name in ("content", "tool_calls") if choice.message.get(name)}
    return {"role": "assistant", "content": "", **kept}
