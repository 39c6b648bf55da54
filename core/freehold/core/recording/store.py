"""The recordings on this machine: written by the gateway, read by people, replay and tuning."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from freehold.core.errors import NotFoundError
from freehold.core.recording.access import AccessLog, Action
from freehold.core.recording.days import SUFFIX, day_files, route_folder, route_name
from freehold.core.recording.format import Kind, RecordedExchange, day_of_id
from freehold.core.recording.lines import append_lines, delete_file, private_folder, read_lines
from freehold.core.store.atomic import write_atomically

RETENTION_FILE = "retention.json"
RETENTION_READER = "retention"
"""Who the access log names for files that were deleted because of their age."""


@dataclass(frozen=True, slots=True)
class DayFile:
    """The records of one route and one day (UTC)."""

    route: str
    day: date
    path: Path
    size_bytes: int

    def count(self) -> int:
        """How many lines it has."""
        return sum(1 for _ in read_lines(self.path, self.size_bytes))


@dataclass(frozen=True, slots=True)
class Filter:
    """Which records to read; what is None is not asked about."""

    route: str | None = None
    since: date | None = None
    """First day (UTC)."""
    until: date | None = None
    """Last day (UTC)."""
    kind: Kind | None = None

    def about(self) -> dict[str, Any]:
        """What the access log says of it, besides the route."""
        asked = {"since": self.since, "until": self.until, "kind": self.kind}
        return {name: str(value) for name, value in asked.items() if value is not None}

    def has_day(self, day: date) -> bool:
        return (self.since is None or day >= self.since) and (self.until is None or day <= self.until)


class Reading:
    """Records to iterate over, as they were when the reading was asked for and logged."""

    def __init__(self, files: list[DayFile], kind: Kind | None) -> None:
        self._files = files
        self._kind = kind
        self.skipped = 0
        """Lines that are torn or no records."""
        self.count = sum(1 for _ in self)

    def __iter__(self) -> Iterator[RecordedExchange]:
        self.skipped = 0
        for file in self._files:
            for line in read_lines(file.path, file.size_bytes):
                exchange = RecordedExchange.from_line(line)
                if exchange is None:
                    self.skipped += 1
                elif self._kind in (None, exchange.kind):
                    yield exchange


class RecordingStore:
    """`<root>/<route>/<YYYY-MM-DD>.jsonl` for the owner alone. Every read names its reader and is logged first."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.access = AccessLog(root / "access.jsonl")

    def append(self, exchanges: Iterable[RecordedExchange]) -> None:
        """Add records, durable on return: one write and one flush for each file they go to. Raises OSError."""
        private_folder(self.root)
        batches: dict[Path, list[bytes]] = {}
        for exchange in exchanges:
            path = self._folder(exchange.route) / f"{exchange.day.isoformat()}{SUFFIX}"
            batches.setdefault(path, []).append(exchange.to_line())
        for path, lines in batches.items():
            append_lines(path, b"".join(lines))

    def files(self, reader: str, wanted: Filter | None = None) -> list[DayFile]:
        """What there is, by route and day."""
        wanted = wanted or Filter()
        found = list(self._files(wanted))
        self._log(reader, "list", len(found), wanted)
        return found

    def get(self, reader: str, identifier: str) -> RecordedExchange:
        """One record. Raises UserError if this is no id, NotFoundError if there is no such record."""
        day = day_of_id(identifier)
        reading = Reading(list(self._files(Filter(since=day, until=day))), None)
        found = next((exchange for exchange in reading if exchange.id == identifier), None)
        route = None if found is None else found.route
        self.access.write(reader, "show", count=0 if found is None else 1, route=route, about={"id": identifier})
        if found is None:
            raise NotFoundError(
                f"There is no recording {identifier}",
                why="it was never written, or it is past its retention",
                next_step="`freehold recordings list` shows what there is.",
            )
        return found

    def export(self, reader: str, wanted: Filter | None = None) -> Reading:
        """Records, oldest first within each route. The access log knows how many before this returns."""
        wanted = wanted or Filter()
        reading = Reading(list(self._files(wanted)), wanted.kind)
        self._log(reader, "export", reading.count, wanted)
        return reading

    def matching(self, route: str, before: date | None) -> list[DayFile]:
        """The files that `delete` would delete."""
        return list(self._files(Filter(route=route, until=before and before - timedelta(days=1))))

    def delete(self, reader: str, route: str, before: date | None = None) -> list[DayFile]:
        """Delete a route's files, or those of the days before one; which they were."""
        files = self.matching(route, before)
        about = {"before": before.isoformat()} if before else None
        self.access.write(reader, "delete", count=len(files), route=route, about=about)
        for file in files:
            delete_file(file.path)
        return files

    def keep_for(self, route: str, days: int) -> None:
        """Remember the route's retention, so that it holds when the route is gone from the config."""
        for folder in (self.root, self._folder(route)):
            private_folder(folder)
        path = self._folder(route) / RETENTION_FILE
        write_atomically(path, json.dumps({"route": route, "days": days}).encode())
        path.chmod(0o600)

    def expire(self, route: str, retention_days: int, today: date) -> list[DayFile]:
        """Delete a route's files once their youngest record is older than this many days; which they were."""
        before = today - timedelta(days=retention_days)
        if not self.matching(route, before):
            return []
        return self.delete(RETENTION_READER, route, before)

    def expire_all(self, today: date) -> list[DayFile]:
        """`expire` every route that `keep_for` was ever told of."""
        return [file for route, days in self._retentions() for file in self.expire(route, days, today)]

    def _retentions(self) -> Iterator[tuple[str, int]]:
        for path in sorted(self.root.glob(f"*/{RETENTION_FILE}")):
            document = json.loads(path.read_bytes())
            yield document["route"], document["days"]

    def _log(self, reader: str, action: Action, count: int, wanted: Filter) -> None:
        self.access.write(reader, action, count=count, route=wanted.route, about=wanted.about())

    def _folder(self, route: str) -> Path:
        return self.root / route_folder(route)

    def _files(self, wanted: Filter) -> Iterator[DayFile]:
        folders = sorted(self.root.iterdir()) if self.root.is_dir() else []
        if wanted.route is not None:
            folders = [self._folder(wanted.route)]
        for folder in folders:
            route = wanted.route or route_name(folder.name)
            for day, path in day_files(folder):
                if wanted.has_day(day):
                    yield DayFile(route, day, path, path.stat().st_size)
