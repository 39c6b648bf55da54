"""The stages of the demo: said when they begin, timed, and summed up with the evidence of each."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from freehold.core.progress import hint


@dataclass
class Stage:
    """One stage; whoever does it writes the evidence."""

    name: str
    evidence: str = ""
    """What shows that it is done, in a line."""
    facts: dict[str, Any] = field(default_factory=dict)
    """The same as numbers and names, for programs."""
    seconds: float = 0.0

    def tell(self, evidence: str, **facts: Any) -> None:
        """Say what came of it."""
        self.evidence, self.facts = evidence, facts


class Stages:
    """All stages that will be gone through, in order."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self.done: list[Stage] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[Stage]:
        """Inside the block runs this stage; one that raises is not counted as done."""
        label = f"[{self._names.index(name) + 1}/{len(self._names)}] {name}"
        hint(f"\n{label} …")
        stage, began = Stage(name), time.monotonic()
        yield stage
        stage.seconds = time.monotonic() - began
        hint(f"{label}: {stage.seconds:.1f} s: {stage.evidence}")
        self.done.append(stage)

    def rows(self) -> list[dict[str, Any]]:
        """A row for each that is done, and one for their sum."""
        rows = [_row(each.name, each.seconds, each.evidence, each.facts) for each in self.done]
        return [*rows, _row("all", sum(each.seconds for each in self.done), "", {})]


def _row(name: str, seconds: float, evidence: str, facts: dict[str, Any]) -> dict[str, Any]:
    return {"stage": name, "seconds": round(seconds, 1), "evidence": evidence, "facts": facts}
