"""Who read the recordings: a log that is written before the data is handed out."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from freehold.core.recording.lines import append_lines, read_lines

Action = Literal["list", "show", "export", "delete"]


class AccessLog:
    """Append-only, for its owner alone."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(
        self, who: str, action: Action, *, count: int, route: str | None = None, about: dict[str, Any] | None = None
    ) -> None:
        """Add an entry, durable on return. Raises OSError, and then nothing may be handed out.

        `count` is how many records (for `list` and `delete`, files) the reader may get; `about` is the filter or id.
        """
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        entry = {"time": now, "who": who, "action": action, "route": route, "count": count} | (about or {})
        append_lines(self.path, json.dumps(entry, ensure_ascii=False).encode("utf-8", "replace") + b"\n")

    def entries(self) -> list[dict[str, Any]]:
        """All entries, oldest first; a torn line is left out."""
        size_bytes = self.path.stat().st_size if self.path.exists() else 0
        return [entry for line in read_lines(self.path, size_bytes) if (entry := _entry(line))]


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None
