"""Points in time as people write them, always in UTC."""

import re
from datetime import UTC, date, datetime, timedelta

from freehold.core.errors import UserError

_AGO = re.compile(r"(\d{1,6})([hdw])")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def parse_moment(text: str, now: float, *, name: str, is_end: bool = False) -> int:
    """Epoch seconds of `7d` (that long ago), `2026-11-01` or `2026-11-01T08:00Z`.

    A day means its beginning, and as the end of a range its end. Raises UserError, which calls the value `name`.
    """
    try:
        if ago := _AGO.fullmatch(text):
            return int((datetime.fromtimestamp(now, UTC) - int(ago[1]) * _UNITS[ago[2]]).timestamp())
        if _DAY.fullmatch(text):
            day = date.fromisoformat(text) + timedelta(days=int(is_end))
            return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
        moment = datetime.fromisoformat(text)
        # In UTC it may lie before the year 1 or after 9999, where there are no dates to show it by.
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).timestamp())
    except (ValueError, OverflowError) as error:
        raise UserError(
            f"{name}: '{text}' is no time", next_step="Write 7d, 24h, 2026-11-01 or 2026-11-01T08:00Z (all in UTC)."
        ) from error


def show_moment(seconds: int) -> str:
    """`2026-11-01T08:00:00Z`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
