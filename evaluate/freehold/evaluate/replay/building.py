"""The suite of a replay: recorded prompts with the client's parameters, and scorers for what was answered then."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from freehold.core.errors import UserError

RECORDED = "recorded"
"""The baseline: what the clients got."""
RUBRIC = (
    "Which answer serves the user better: right, complete, and in the form that was asked for? An answer that says the "
    "same in other words is as good."
)


@dataclass(frozen=True)
class Replay:
    """What is replayed, against whom, and how texts are compared."""

    route: str
    since: date | None = None
    until: date | None = None
    limit: int | None = None
    targets: Mapping[str, str] = field(default_factory=dict)
    """Base URLs of candidates, by the name of their model."""
    shadows: Sequence[str] = ()
    """Models whose answers to the gateway's copies were recorded."""
    judge: tuple[str, str] | None = None
    """Model and base URL of what says which of two texts is better."""
    similarity: tuple[str, str] | None = None
    """Model and base URL of embeddings, which say how alike two texts are."""
    margin: float | None = None
    key_from: str | None = None
    """Environment variable with the API key of all of them."""


def suite_of(replay: Replay) -> dict[str, Any]:
    """The suite as YAML has it. Raises UserError where there is no candidate, or nothing to compare texts by.

    Tool calls are compared as calls. What tools answered is in the record, so no tool runs.
    """
    if not replay.targets and not replay.shadows:
        raise UserError(
            "There is no candidate", next_step="Name one: --target MODEL=URL, or --shadow MODEL if the route had one."
        )
    if replay.judge is None and replay.similarity is None:
        raise UserError(
            "Nothing says how good a text is beside the recorded one",
            why="two good answers are seldom the same words",
            next_step="Add --judge MODEL=URL (better), or --similarity MODEL=URL of an embedding model.",
        )
    days = {"since": replay.since, "until": replay.until}
    source = {"recorded": replay.route, "replay": True, "limit": replay.limit, **days}
    shadows = {f"shadow-{model.rpartition('/')[2]}": {"source": f"shadow:{model}"} for model in replay.shadows}
    suite: dict[str, Any] = {
        "name": "replay-" + "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in replay.route),
        "prompts": [{name: value for name, value in source.items() if value is not None}],
        "scorers": {"calls": {"kind": "tool-calls", "only": {"answer": "tools"}}, "text": _text(replay)},
        "targets": {model.rpartition("/")[2]: _endpoint(model, url, replay) for model, url in replay.targets.items()},
        "fromRecord": {RECORDED: {"source": "answer"}, **shadows},
        "baseline": RECORDED,
    }
    if replay.judge is not None:
        suite["judge"] = _endpoint(*replay.judge, replay)
    if replay.margin is not None:
        suite["margin"] = replay.margin
    return suite


def _text(replay: Replay) -> dict[str, Any]:
    if replay.judge is not None:
        how: dict[str, Any] = {"kind": "rubric", "rubric": RUBRIC, "against": RECORDED}
    else:
        assert replay.similarity is not None, "one of the two was checked for"
        how = {"kind": "similarity", "endpoint": _endpoint(*replay.similarity, replay)}
    return how | {"only": {"answer": "text"}}


def _endpoint(model: str, url: str, replay: Replay) -> dict[str, Any]:
    key = {"apiKeyFrom": {"env": replay.key_from}} if replay.key_from else {}
    return {"baseUrl": url, "model": model} | key
