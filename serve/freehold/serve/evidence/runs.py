"""The folders of evaluation runs, as `freehold evaluate` leaves them; its docs name the files."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from freehold.core.errors import NotFoundError
from freehold.core.remembered import Remembered
from freehold.serve.evidence.holding import is_held

SUITE, PROMPTS, ANSWERS = "suite.yaml", "prompts.jsonl", "answers.jsonl"
ENVIRONMENT, NUMBERS, REPORT, LOCK = "environment.json", "report.json", "report.html", ".lock"

State = Literal["running", "finished", "stopped"]


@dataclass(frozen=True)
class Run:
    """One run. `stopped` goes on with `freehold evaluate --resume`."""

    name: str
    path: Path
    suite: str
    targets: tuple[str, ...]
    baseline: str
    """Empty where the run compares nothing."""
    state: State
    started: str
    finished: str
    """Times as ISO 8601; empty where there is none."""
    artifacts: dict[str, str]
    """Which artifact a target said that it serves, by target."""
    prompts: int
    expected: int
    """Answers of a whole run."""
    answers: int
    decisions: dict[str, str]
    """By candidate; empty without a report."""
    is_recorded: bool
    """Its prompts are, or some of them, what clients sent to the gateway."""
    has_report: bool


@dataclass(frozen=True)
class _Notes:
    started: tuple[str, ...] = ()
    finished: tuple[str, ...] = ()
    artifacts: dict[str, str] = field(default_factory=dict)


class Runs:
    """Those below the usual folder, newest first. Every method reads the disk."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._suites = Remembered(_suite)
        self._lines = Remembered(_count)
        self._notes = Remembered(_notes)
        self._numbers = Remembered(_json)

    def list(self) -> list[Run]:
        """Every run whose suite can be read."""
        folders = [path for path in self.root.iterdir() if path.is_dir()] if self.root.is_dir() else []
        found = [run for path in folders if (run := self._run(path)) is not None]
        for known in (self._suites, self._lines, self._notes, self._numbers):
            known.keep({path / name for path in folders for name in (SUITE, PROMPTS, ANSWERS, ENVIRONMENT, NUMBERS)})
        return sorted(found, key=lambda run: (run.started, run.name), reverse=True)

    def get(self, name: str) -> Run:
        """The run in the folder of this name. Raises NotFoundError."""
        run = next((run for run in self.list() if run.name == name), None)
        if run is None:
            raise NotFoundError(f"No evaluation {name!r}", why=f"there is no such run in {self.root}")
        return run

    def numbers(self, run: Run) -> dict[str, Any] | None:
        """Its `report.json`; None without."""
        found: dict[str, Any] | None = self._numbers.of(run.path / NUMBERS) if run.has_report else None
        return found

    def _run(self, path: Path) -> Run | None:
        try:
            suite = self._suites.of(path / SUITE)
        except OSError:
            return None
        is_running = is_held(path / LOCK)  # before its notes are read: it is let go after its end is in them
        notes = self._optional(self._notes, path / ENVIRONMENT) or _Notes()
        prompts = self._optional(self._lines, path / PROMPTS) or 0
        targets = tuple(suite.get("targets") or {}) + tuple(suite.get("fromRecord") or {})
        numbers = self._optional(self._numbers, path / NUMBERS) or {}
        sources = suite.get("prompts") or []
        return Run(
            name=path.name,
            path=path,
            suite=str(suite.get("name", "")),
            targets=targets,
            baseline=str(suite.get("baseline") or ""),
            state="running" if is_running else _ended(notes),
            started=notes.started[0] if notes.started else "",
            finished=notes.finished[-1] if notes.finished else "",
            artifacts=notes.artifacts,
            prompts=prompts,
            expected=prompts * len(targets) * int(suite.get("samples", 1)),
            answers=self._optional(self._lines, path / ANSWERS) or 0,
            decisions={one["target"]: one["decision"] for one in numbers.get("candidates", [])},
            is_recorded=any("recorded" in source for source in sources if isinstance(source, dict)),
            has_report=bool(numbers) and (path / REPORT).is_file(),
        )

    def _optional(self, known: Remembered[Any], path: Path) -> Any:
        try:
            return known.of(path)
        except FileNotFoundError:
            return None


def _ended(notes: _Notes) -> State:
    return "finished" if notes.finished and len(notes.finished) >= len(notes.started) else "stopped"


def _suite(path: Path) -> dict[str, Any]:
    read = yaml.safe_load(path.read_text())
    return read if isinstance(read, dict) else {}


def _notes(path: Path) -> _Notes:
    read = _json(path)
    artifacts = {str(name): str(value) for name, value in (read.get("artifacts") or {}).items()}
    return _Notes(tuple(read.get("started") or ()), tuple(read.get("finished") or ()), artifacts)


def _json(path: Path) -> dict[str, Any]:
    read = json.loads(path.read_bytes())
    return read if isinstance(read, dict) else {}


def _count(path: Path) -> int:
    return path.read_bytes().count(b"\n")


def lines_of(path: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of a run's file; none where there is no file."""
    if path.is_file():
        with path.open("rb") as stream:
            yield from (json.loads(line) for line in stream if line.endswith(b"\n"))
