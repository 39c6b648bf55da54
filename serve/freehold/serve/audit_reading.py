"""Reads the audit log back: which records match, and which lines are none."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from freehold.core.errors import NotFoundError, UserError

_SPAN = re.compile(r"(\d+)([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_FIELDS = ("time", "act", "actor", "target", "outcome", "origin")


@dataclass(frozen=True)
class Wanted:
    """Which records are asked for; what is not given matches all."""

    since: datetime | None = None
    act: str = ""
    """`keys.create`, or `keys` for all acts on keys."""
    actor: str = ""

    def matches(self, record: dict[str, Any]) -> bool:
        if self.since is not None and datetime.fromisoformat(record["time"]) < self.since:
            return False
        act: str = record["act"]
        return (act == self.act or act.startswith(f"{self.act}.") or not self.act) and self.actor in (
            "",
            record["actor"],
        )


@dataclass
class AuditReading:
    """The records of one file, oldest first. `unreadable` is complete when `records` has been read to its end."""

    path: Path
    unreadable: list[int] = field(default_factory=list)
    """Numbers of lines that are no record: torn by a full disk, or written by somebody else."""

    def records(self, wanted: Wanted) -> Iterator[dict[str, Any]]:
        """Those that match. Raises NotFoundError if there is no such file."""
        try:
            stream = self.path.open("rb")
        except FileNotFoundError as error:
            raise NotFoundError(f"There is no audit log at {self.path}", why="nothing was administered here") from error
        with stream:
            for number, line in enumerate(stream, 1):
                if not line.strip():
                    continue
                record = _parse(line)
                if record is None:
                    self.unreadable.append(number)
                elif wanted.matches(record):
                    yield record


def parse_since(text: str, now: datetime) -> datetime:
    """`36h`, `7d`, `2026-11-01` or a full RFC 3339 time; without an offset it is UTC. Raises UserError."""
    try:
        if span := _SPAN.fullmatch(text):
            return now - timedelta(**{_UNITS[span[2]]: int(span[1])})
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise UserError(
            f"--since {text} is no time", why=str(error), next_step="Write 36h, 7d, 2026-11-01 or 2026-11-01T09:30:00Z."
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
        if not isinstance(record, dict) or not all(isinstance(record.get(name), str) for name in _FIELDS):
            return None
        has_offset = datetime.fromisoformat(record["time"]).tzinfo is not None
    except ValueError:
        return None
    return record if has_offset else None
