"""The time that windows are chosen by: it runs with the monotonic clock, follows a reference, and never goes back."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

MINUTE_S = 60
LEAP_S = 1.0
"""A correction by more than this may have skipped the end of a window."""
WRONG_S = 3600.0
"""A clock that was so far ahead was wrong, and is followed back."""


class WindowClock:
    """Seconds since the epoch by a reference: the database's clock, which all replicas share, or else the wall clock.

    A reference that jumps forward is followed at once. One that jumps back is approached by running at half speed, so
    no minute is entered twice and none takes longer than two; only after an hour's error, which would charge a wrong
    month, is it followed back.
    """

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.wall = wall
        self.monotonic = monotonic
        self._observed_at = monotonic()
        self._offset = wall() - self._observed_at
        self._is_guess = True
        self._latest = 0.0
        self.on_leap: Callable[[], None] = lambda: None
        """Called when windows may have ended earlier than expected."""

    def now(self) -> float:
        """Never less than it was before, but for the correction of a large error."""
        now = self.monotonic() + self._offset
        if now > self._latest:
            self._latest = now
        return self._latest

    def minute(self) -> int:
        """Start of the minute."""
        return int(self.now()) // MINUTE_S * MINUTE_S

    def month(self) -> int:
        """Start of the month, UTC."""
        day = datetime.fromtimestamp(self.now(), UTC)
        return int(datetime(day.year, day.month, 1, tzinfo=UTC).timestamp())

    def month_end(self) -> int:
        """Start of the next month, UTC."""
        day = datetime.fromtimestamp(self.now(), UTC)
        return int(datetime(day.year + day.month // 12, day.month % 12 + 1, 1, tzinfo=UTC).timestamp())

    def monotonic_at(self, epoch_s: float) -> float:
        """What the monotonic clock will show then."""
        return self.monotonic() + epoch_s - self.now()

    def observe(self, reference: float, earliest: float, latest: float) -> None:
        """The reference was read at some time between two of the monotonic clock."""
        low, high = reference - latest, reference - earliest
        before, elapsed = self._offset, latest - self._observed_at
        self._observed_at = latest
        nearest = min(max(before, low), high)
        if self._is_guess or before - nearest > WRONG_S:
            self._is_guess = False
            self._offset, self._latest = nearest, 0.0
        else:
            self._offset = max(nearest, before - elapsed / 2)
        if abs(self._offset - before) > LEAP_S:
            self.on_leap()
