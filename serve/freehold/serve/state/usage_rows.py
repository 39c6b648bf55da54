"""Usage reports as JSON and CSV, the same from the command line and over HTTP."""

import csv
import io
from dataclasses import dataclass
from typing import Any

from freehold.serve.state.moments import show_moment
from freehold.serve.state.money import MICROS
from freehold.serve.state.usage import UsageLine, UsageQuery

FIGURES = (
    "requests",
    "errors",
    "prompt_tokens",
    "cached_tokens",
    "completion_tokens",
    "estimated_tokens",
    "audio_seconds",
    "engine_seconds",
    "money",
    "money_per_million_tokens",
    "replaces",
    "replaced_money",
    "saved_money",
    "cost_ratio",
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class UsageReport:
    """A report with what its figures mean."""

    query: UsageQuery
    lines: list[UsageLine]
    currency: str
    total: int | None = None
    """How many lines the whole report has, where this is a part of it."""

    @property
    def columns(self) -> tuple[str, ...]:
        """What the report is by, then its figures."""
        names = tuple(column for name in self.query.by for column in ((name, "key_name") if name == "key" else (name,)))
        return names + FIGURES

    def rows(self) -> list[dict[str, Any]]:
        """Lines as plain values: times as ISO 8601, money in the currency, durations in seconds."""
        columns = self.columns
        return [{name: values[name] for name in columns} for values in map(_values, self.lines)]

    def document(self) -> dict[str, Any]:
        """The report as one JSON document."""
        return {
            "object": "list",
            "data": self.rows(),
            "currency": self.currency,
            "since": show_moment(self.query.since),
            "until": show_moment(self.query.until),
            "by": list(self.query.by),
            "total": len(self.lines) if self.total is None else self.total,
        }

    def csv(self) -> str:
        """The report as CSV (RFC 4180), safe to open in a spreadsheet."""
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(self.columns)
        writer.writerows([_cell(value) for value in row.values()] for row in self.rows())
        return text.getvalue()


def _values(line: UsageLine) -> dict[str, Any]:
    group = {name: show_moment(value) if name in ("day", "hour") else value for name, value in line.group.items()}
    return group | {
        "requests": line.requests,
        "errors": line.errors,
        "prompt_tokens": line.prompt_tokens,
        "cached_tokens": line.cached_tokens,
        "completion_tokens": line.completion_tokens,
        "estimated_tokens": line.estimated_tokens,
        "audio_seconds": line.audio_seconds,
        "engine_seconds": line.engine_us / 1_000_000,
        "money": line.money / MICROS,
        "money_per_million_tokens": _rounded(line.money_per_million_tokens),
        "replaces": ", ".join(sorted(line.replaces)) or None,
        "replaced_money": _amount(line.replaced_money),
        "saved_money": _amount(line.saved_money),
        "cost_ratio": _rounded(line.cost_ratio),
    }


def _amount(money: int | None) -> float | None:
    return None if money is None else money / MICROS


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _cell(value: Any) -> Any:
    """A text that a spreadsheet would run as a formula gets a quote before it: a client may name its team so."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
