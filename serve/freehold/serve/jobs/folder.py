"""A job on the disk: what was asked, how it stands, and what it has said. Any process of this data folder reads it."""

import json
import re
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from freehold.core.errors import IntegrityError
from freehold.core.recording.lines import private_folder
from freehold.core.store.atomic import write_atomically
from freehold.serve.evidence.holding import is_held
from freehold.serve.jobs.kinds import Wanted

STATE, LOG, LOCK, CANCEL = "job.json", "log.txt", "lock", "cancel"
MOST_LOG_BYTES, LAST_LINES_BYTES = 256 * 1024, 4096

State = Literal["queued", "running", "succeeded", "failed", "cancelled", "interrupted"]
OVER: tuple[State, ...] = ("succeeded", "failed", "cancelled", "interrupted")
_WANTED: TypeAdapter[Wanted] = TypeAdapter(Wanted)


@dataclass(frozen=True)
class JobRecord:
    """A job as it stands."""

    id: str
    wanted: Wanted
    actor: str
    """Who started it, as the audit log calls them."""
    state: State
    created_at: float
    """Epoch seconds, as all times."""
    started_at: float | None = None
    ended_at: float | None = None
    status: int | None = None
    """Exit status of the command."""
    attempts: int = 0
    error: str = ""


class JobFolder:
    """The folder of one job."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log, self.lock, self.cancel = path / LOG, path / LOCK, path / CANCEL

    def write(self, record: JobRecord) -> None:
        """Replace what is known of it."""
        private_folder(self.path)
        document = {**asdict(record), "wanted": record.wanted.model_dump(mode="json")}
        write_atomically(self.path / STATE, json.dumps(document, indent=2).encode() + b"\n", 0o600)

    def read(self) -> JobRecord:
        """How it stands; one whose process is gone was interrupted. Raises FileNotFoundError, IntegrityError."""
        text = (self.path / STATE).read_bytes()
        while (record := self._record(text)).state not in OVER and not is_held(self.lock):
            # It is let go after its end is written, which may have been between the two looks.
            text, before = (self.path / STATE).read_bytes(), text
            if text == before and not is_held(self.lock):
                return replace(record, state="interrupted")
        return record

    def _record(self, text: bytes) -> JobRecord:
        try:
            document = json.loads(text)
            return JobRecord(**{**document, "wanted": _WANTED.validate_python(document["wanted"])})
        except (ValueError, TypeError, KeyError) as error:
            raise IntegrityError(f"{self.path / STATE} is no job", why=str(error).splitlines()[0]) from error

    def said(self, most_bytes: int = MOST_LOG_BYTES) -> str:
        """The end of its log."""
        try:
            with self.log.open("rb") as stream:
                stream.seek(max(0, self.log.stat().st_size - most_bytes))
                return stream.read().decode(errors="replace")
        except FileNotFoundError:
            return ""


_UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_BYTES = re.compile(r"([\d.]+) (B|[KMGT]iB) of ([\d.]+) (B|[KMGT]iB)")
_COUNTS = re.compile(r"\b(\d+) of (\d+)\b")


@dataclass(frozen=True)
class Told:
    """How far a job is, by its own words."""

    text: str
    """The last line of its log."""
    share: float | None
    """From 0 to 1; None where the line tells none."""


def told(log: str) -> Told:
    """From the last line that a command printed; the lines that begin a try are ours."""
    lines = [line.strip() for line in log.replace("\r", "\n").splitlines() if line.strip() and line[:4] != "--- "]
    if not lines:
        return Told("", None)
    if found := _BYTES.search(lines[-1]):
        done, whole = float(found[1]) * _UNITS[found[2]], float(found[3]) * _UNITS[found[4]]
    elif found := _COUNTS.search(lines[-1]):
        done, whole = float(found[1]), float(found[2])
    else:
        return Told(lines[-1], None)
    return Told(lines[-1], min(1.0, done / whole) if whole else None)


def now() -> float:
    return time.time()
