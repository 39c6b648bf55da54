"""What the targets of a run answered, side by side, where they differ most first."""

import json
from dataclasses import dataclass, field
from typing import Any

from freehold.serve.evidence.runs import ANSWERS, PROMPTS, Run, lines_of


@dataclass(frozen=True)
class Side:
    """One target's answer to a prompt; of several samples the first, with the mean of their scores."""

    target: str
    outcome: str
    text: str
    score: float | None
    """From 0 to 1; None for one that was skipped."""
    why: tuple[str, ...]
    """What its scorers say."""
    latency_s: float | None
    cost: float | None


@dataclass
class Compared:
    """A prompt and what came of it."""

    prompt: str
    asked: str
    expected: str
    slices: dict[str, str]
    sides: list[Side] = field(default_factory=list)
    lost: float = 0.0
    """How much worse the worst target is than the baseline, or than the best one without a baseline."""


def compared(run: Run, slice_name: str | None = None) -> list[Compared]:
    """Every prompt that was answered, the largest losses first; `slice_name` as `dimension=value`."""
    prompts = {str(line["id"]): line for line in lines_of(run.path / PROMPTS)}
    lines: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for line in lines_of(run.path / ANSWERS):
        if slice_name is None or slice_name in {f"{name}={value}" for name, value in line.get("slices", {}).items()}:
            lines.setdefault(line["prompt"], {}).setdefault(line["target"], []).append(line)
    found = [_compared(run, prompts.get(prompt, {}), prompt, by_target) for prompt, by_target in lines.items()]
    return sorted(found, key=lambda one: (-one.lost, one.prompt))


def slices_of(run: Run) -> list[str]:
    """All slices of its prompts, as `dimension=value`."""
    lines = lines_of(run.path / PROMPTS)
    return sorted({f"{name}={value}" for line in lines for name, value in (line.get("slices") or {}).items()})


def _compared(run: Run, prompt: dict[str, Any], name: str, by_target: dict[str, list[dict[str, Any]]]) -> Compared:
    sides = [_side(target, by_target[target]) for target in run.targets if target in by_target]
    scores = {side.target: side.score for side in sides if side.score is not None}
    best = scores.get(run.baseline, max(scores.values(), default=0.0))
    return Compared(
        prompt=name,
        asked="\n\n".join(_said(message) for message in prompt.get("messages", ())),
        expected=_text(prompt.get("expected")),
        slices=prompt.get("slices") or {},
        sides=sides,
        lost=max((best - score for score in scores.values()), default=0.0),
    )


def _side(target: str, lines: list[dict[str, Any]]) -> Side:
    first, scores = lines[0], [score for line in lines if (score := score_of(line)) is not None]
    calls = (first.get("message") or {}).get("tool_calls")
    text = first.get("answer") or first.get("error") or ""
    return Side(
        target=target,
        outcome=first["outcome"],
        text=text + (f"\n{json.dumps(calls, ensure_ascii=False)}" if calls else ""),
        score=sum(scores) / len(scores) if scores else None,
        why=tuple(f"{name}: {one.get('why', '')}" for name, one in (first.get("scores") or {}).items()),
        latency_s=first.get("latency_s"),
        cost=first.get("cost"),
    )


def score_of(line: dict[str, Any]) -> float | None:
    """As `freehold evaluate` counts: the mean of its scorers, 0 for no answer, none for one that was skipped."""
    if line["outcome"] == "skipped":
        return None
    scores = line.get("scores") or {}
    if line["outcome"] != "answered" or not scores:
        return 0.0
    return sum(float(one["value"]) for one in scores.values()) / len(scores)


def _said(message: dict[str, Any]) -> str:
    return f"{message.get('role')}: {_text(message.get('content'))}"


def _text(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)
