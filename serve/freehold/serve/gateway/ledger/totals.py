"""Sums of entries by the columns that a usage row is keyed by."""

from typing import Any, cast

from sqlalchemy import String, Table

from freehold.serve.gateway.ledger.entry import LARGEST, UsageEntry
from freehold.serve.state.tables import UsageRow

HOUR_S = 3600
USAGE = cast(Table, UsageRow.__table__)
KEYS = tuple(column.name for column in USAGE.primary_key)
SUMS = tuple(column.name for column in USAGE.columns if not column.primary_key)
_WIDTHS = {column.name: cast(int, column.type.length) for column in USAGE.columns if isinstance(column.type, String)}


class Totals:
    """What a number of entries adds to the usage table. As large as the table's keys are many, however many entries."""

    def __init__(self) -> None:
        self._sums: dict[tuple[int, str, str, str, str, str], list[int]] = {}
        self.entries = 0
        self.unreadable = 0
        """Lines of the spool that were no whole entries."""

    def add(self, entry: UsageEntry) -> None:
        hour = int(entry.time) // HOUR_S * HOUR_S
        key = (hour, entry.key_id, entry.team, entry.model, entry.route, entry.endpoint)
        sums = self._sums.get(key)
        if sums is None:
            sums = self._sums[key] = [0] * len(SUMS)
        sums[0] += 1
        sums[1] += entry.status >= 400
        sums[2] += _bounded(entry.prompt_tokens)
        sums[3] += _bounded(entry.cached_tokens)
        sums[4] += _bounded(entry.completion_tokens)
        sums[5] += _bounded(entry.estimated_tokens)
        sums[6] += _bounded(entry.engine_us)
        sums[7] += _bounded(entry.money)
        sums[8] += _bounded(entry.audio_seconds)
        self.entries += 1

    def rows(self) -> list[dict[str, Any]]:
        """Rows for the table, ordered by key: replicas that lock the same rows do it in the same order."""
        merged: dict[tuple[Any, ...], list[int]] = {}
        for (hour, *texts), sums in self._sums.items():
            key = (hour, *map(_fitting, KEYS[1:], texts))
            known = merged.get(key)
            merged[key] = sums if known is None else [a + b for a, b in zip(known, sums, strict=True)]
        return [
            dict(zip(KEYS, key, strict=True)) | dict(zip(SUMS, sums, strict=True))
            for key, sums in sorted(merged.items())
        ]


def _bounded(count: int) -> int:
    return count if 0 <= count <= LARGEST else max(0, min(count, LARGEST))


def _fitting(column: str, text: str) -> str:
    """What the column takes: a batch that the database refuses would hold up all that come after it."""
    return text.replace("\0", "")[: _WIDTHS[column]]
