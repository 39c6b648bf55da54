"""Jinja2's environment of the console: every value is escaped, an unknown name is an error."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from freehold.serve.console.assets import asset_url

FOLDER = Path(__file__).parent / "templates"


def environment() -> Environment:
    """Templates of the console, with the filters below."""
    made = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["asset"] = asset_url
    made.filters.update(moment=moment, number=number, money=money, duration=duration, gib=gib)
    return made


def moment(epoch_s: float | None) -> str:
    """`2026-11-22 09:30` in UTC; a dash where there is none."""
    return "–" if epoch_s is None else datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%d %H:%M")


def number(value: Any, digits: int = 0) -> str:
    """`12,345`; a dash where there is none."""
    return "–" if value is None else f"{value:,.{digits}f}"


def money(value: float | None) -> str:
    """`1,234.56`, with more digits where it is less than one; a dash where there is none."""
    if value is None:
        return "–"
    return f"{value:,.2f}" if abs(value) >= 1 or value == 0 else f"{value:,.4f}"


def duration(seconds: float | None) -> str:
    """`850 ms` or `1.25 s`; a dash where there is none."""
    if seconds is None:
        return "–"
    return f"{seconds * 1000:,.0f} ms" if seconds < 1 else f"{seconds:,.2f} s"


def gib(size_bytes: float | None) -> str:
    """`79.6 GiB`; a dash where there is none."""
    return "–" if size_bytes is None else f"{size_bytes / 2**30:,.1f} GiB"
