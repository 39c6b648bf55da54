"""Metrics of a run as JSON lines: one per logged step or evaluation, in the order they happened."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from freehold.core.store.atomic import write_atomically


@dataclass
class Metrics:
    """The lines of one run; `rewind` drops what a resumed run will tell again."""

    path: Path
    lines: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def open(cls, path: Path) -> "Metrics":
        return cls(path, list(_whole_lines(path.read_text().splitlines())) if path.is_file() else [])

    def rewind(self, step: int) -> None:
        """Keep what was logged up to this step."""
        self.lines = [line for line in self.lines if line["step"] <= step]
        text = "".join(json.dumps(line) + "\n" for line in self.lines)
        write_atomically(self.path, text.encode())

    def add(self, line: dict[str, Any]) -> None:
        self.lines.append(line)
        with self.path.open("a") as stream:
            stream.write(json.dumps(line) + "\n")

    def curve(self, name: str) -> list[tuple[int, float]]:
        """(step, value) of every line that has the metric."""
        return [(line["step"], line[name]) for line in self.lines if name in line]

    def last(self, name: str) -> float | None:
        found = self.curve(name)
        return found[-1][1] if found else None


def _whole_lines(lines: Iterable[str]) -> Iterable[dict[str, Any]]:
    for line in lines:
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            return  # cut off by a kill; nothing follows it
