"""Names on disk: a folder per route, a file per day (UTC)."""

import hashlib
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from urllib.parse import quote, unquote

from freehold.core.errors import UserError

SUFFIX = ".jsonl"
_LONGEST = 180
"""Bytes of a folder's name; file systems take 255."""


def route_folder(route: str) -> str:
    """The route's name as a file name: no two routes share one, and none leaves the folder that holds them."""
    # quote() leaves "." and "~" alone; ".." would leave the folder, and "~" marks a name that was cut.
    name = quote(route, safe="").replace("~", "%7E")
    if name.startswith("."):
        name = "%2E" + name[1:]
    if len(name) <= _LONGEST:
        return name
    return f"{name[:_LONGEST]}~{hashlib.sha256(route.encode()).hexdigest()[:32]}"


def route_name(folder: str) -> str:
    """The route behind a folder's name; of a very long one only the beginning."""
    return unquote(folder.partition("~")[0])


def parse_day(text: str) -> date:
    """A date as YYYY-MM-DD. Raises UserError."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise UserError(f"'{text}' is not a day", next_step="Write it as 2026-03-01 (YYYY-MM-DD).") from error


def day_files(folder: Path) -> Iterator[tuple[date, Path]]:
    """The folder's files by day, oldest first; other files are passed over."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        name = path.name.removesuffix(SUFFIX)
        try:
            day = date.fromisoformat(name)
        except ValueError:
            continue
        if day.isoformat() == name:
            yield day, path
