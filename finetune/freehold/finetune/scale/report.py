"""What a worker tells its parent when it ends: the measurements, or an error of ours."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freehold.core import errors
from freehold.core.errors import FreeholdError
from freehold.core.store.atomic import write_atomically


@dataclass(frozen=True)
class WorkerFiles:
    """The part of a run's folder in which workers write."""

    path: Path

    @property
    def facts(self) -> Path:
        """What the parent knows about the run, for the report."""
        return self.path / "facts.json"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.json"

    def log(self, rank: int) -> Path:
        return self.path / f"{rank}.log"

    def error(self, rank: int) -> Path:
        return self.path / f"{rank}.error.json"

    def clear(self) -> None:
        """Forget what earlier workers told."""
        self.path.mkdir(parents=True, exist_ok=True)
        for stale in (*self.path.glob("*.error.json"), self.metrics):
            stale.unlink(missing_ok=True)

    def write(self, path: Path, value: Any) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(value).encode())

    def write_error(self, rank: int, error: FreeholdError) -> None:
        said = {"kind": type(error).__name__, "what": error.what, "why": error.why, "next_step": error.next_step}
        self.write(self.error(rank), said)

    def read_error(self, ranks: range) -> FreeholdError | None:
        """The error of the first worker that wrote one. Kinds with details of their own come back as their root."""
        for rank in ranks:
            if self.error(rank).is_file():
                said = json.loads(self.error(rank).read_text())
                kind = getattr(errors, said["kind"], FreeholdError)
                plain = kind if kind.__init__ is FreeholdError.__init__ else FreeholdError
                return plain(said["what"], why=said["why"], next_step=said["next_step"])
        return None
