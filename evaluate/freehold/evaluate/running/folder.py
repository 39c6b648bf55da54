"""The folder of a run: what was asked, all that came, and where it was done."""

import fcntl
import json
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from freehold.core.errors import NotFoundError, RefusedError
from freehold.core.recording.lines import private_folder
from freehold.core.store.atomic import write_atomically
from freehold.evaluate.running.lines import read_lines, to_line
from freehold.evaluate.suite.loading import Loaded

SUITE, PROMPTS, ANSWERS = "suite.yaml", "prompts.jsonl", "answers.jsonl"
JOURNAL, ENVIRONMENT = "journal.jsonl", "environment.json"
_LOCK = ".lock"
_PACKAGES = ("freehold", "httpx", "jsonschema", "lm_eval")


class RunFolder:
    """For the owner alone: prompts and answers may be confidential."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.suite, self.prompts, self.answers = path / SUITE, path / PROMPTS, path / ANSWERS
        self.journal, self.environment = path / JOURNAL, path / ENVIRONMENT

    @classmethod
    def create(cls, path: Path) -> "RunFolder":
        """A new one. Raises RefusedError where something is already."""
        if path.exists() and any(path.iterdir()):
            raise RefusedError(
                f"{path} is not empty",
                why="a run would be mixed with what is there",
                next_step=f"Name another folder with --out, or go on with that run: --resume {path}",
            )
        private_folder(path)
        return cls(path)

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """That of an earlier run. Raises NotFoundError."""
        found = cls(path)
        if not found.suite.is_file():
            raise NotFoundError(f"{path} is no folder of a run", why=f"there is no {SUITE} in it")
        return found

    @contextmanager
    def held(self) -> Iterator[None]:
        """For this process alone. Raises RefusedError while another one is at it."""
        descriptor = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise RefusedError(f"Another process is running {self.path}") from error
            yield
        finally:
            os.close(descriptor)

    def begin(self, loaded: Loaded) -> bool:
        """Write what is asked; whether earlier scores still hold, since nothing that they depend on has changed."""
        text = as_yaml(loaded)
        lines = b"".join(to_line(prompt.model_dump(mode="json", exclude_defaults=True)) for prompt in loaded.prompts)
        before = yaml.safe_load(self.suite.read_text()) if self.suite.is_file() else None
        same = self.prompts.is_file() and self.prompts.read_bytes() == lines
        same = same and _essence(before) == _essence(yaml.safe_load(text))
        write_atomically(self.prompts, lines, 0o600)
        write_atomically(self.suite, text.encode(), 0o600)
        self._note("started")
        return same

    def end(self) -> None:
        """Note when it was complete."""
        self._note("finished")

    def note_artifacts(self, artifacts: Mapping[str, str]) -> None:
        """Note which artifact a target says that it serves, by the target's name."""
        self._write_notes(self._notes() | {"artifacts": dict(artifacts)})

    def artifact_of(self, target: str) -> str:
        """The artifact that a target said it served; empty where it did not say."""
        return str(self._notes().get("artifacts", {}).get(target, ""))

    @property
    def begun_at(self) -> datetime | None:
        """When it was first started; None where nothing says so."""
        started = self._notes().get("started") or [None]
        return datetime.fromisoformat(started[0]) if started[0] else None

    def _notes(self) -> dict[str, Any]:
        notes: dict[str, Any] = json.loads(self.environment.read_text()) if self.environment.is_file() else {}
        return notes

    def _note(self, what: str) -> None:
        notes = self._notes()
        notes |= {"python": sys.version.split()[0], "platform": platform.platform(), "packages": _versions()}
        notes.setdefault(what, []).append(datetime.now(UTC).isoformat(timespec="seconds"))
        self._write_notes(notes)

    def _write_notes(self, notes: Mapping[str, Any]) -> None:
        write_atomically(self.environment, json.dumps(notes, indent=2).encode() + b"\n", 0o600)


def as_yaml(loaded: Loaded) -> str:
    """The suite as resolved: overrides in their places, paths from the root, secrets by name alone."""
    document = loaded.suite.model_dump(mode="json", by_alias=True, exclude_none=True)
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)


def read_prompts(path: Path) -> list[dict[str, Any]]:
    """The prompts of a run, in the order in which they were asked."""
    return list(read_lines(path / PROMPTS))


_OPERATION = ("baseUrl", "apiKeyFrom", "concurrency", "timeoutS", "retries", "backoffS", "backoffLimitS")


def _essence(suite: Any) -> Any:
    """The suite without what changes no answer and no score."""
    if isinstance(suite, dict):
        left_out = (
            (*_OPERATION, "budget", "slices", "baseline", "margin", "solvedAt") if "scorers" in suite else _OPERATION
        )
        return {name: _essence(value) for name, value in suite.items() if name not in left_out}
    return [_essence(item) for item in suite] if isinstance(suite, list) else suite


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
