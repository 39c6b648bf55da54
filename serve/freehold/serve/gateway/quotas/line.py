"""The line to the database: one call at a time, and whether anybody answers."""

import logging
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection

from freehold.serve.state.database import Database, DatabaseUnavailable

Result = TypeVar("Result")
log = logging.getLogger("freehold.gateway")

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2.0


class DatabaseLine:
    """Calls are made one after the other, so that their answers arrive in the order in which things happened."""

    def __init__(self, database: Database, monotonic: Callable[[], float], slow_s: float) -> None:
        self.slow_s = slow_s
        """A call that takes longer is as good as none: nobody waits for it."""
        self._database = database
        self._monotonic = monotonic
        self._began: float | None = None
        self._pause_s = 0.0
        self.began = 0.0
        """Monotonic time at which the last call began."""
        self.ended = 0.0

    @property
    def is_broken(self) -> bool:
        """The last call failed."""
        return self._pause_s > 0

    @property
    def is_away(self) -> bool:
        """The last call failed, or the present one takes too long: go on without the database."""
        return self._pause_s > 0 or (self._began is not None and self._monotonic() - self._began > self.slow_s)

    @property
    def pause_s(self) -> float:
        """How long to wait before the next call, after one that failed."""
        return self._pause_s

    async def call(self, work: Callable[[Connection], Result]) -> Result:
        """What the work returns. Raises DatabaseUnavailable."""
        assert self._began is None, "one call at a time"
        self.began = self._began = self._monotonic()
        try:
            result = await self._database.run(work)
        except DatabaseUnavailable as error:
            if not self._pause_s:
                log.warning("Limits of keys are kept without the database for now: %s", error)
            self._pause_s = min(max(2 * self._pause_s, FIRST_PAUSE_S), LONGEST_PAUSE_S)
            raise
        finally:
            self._began = None
            self.ended = self._monotonic()
        if self._pause_s:
            log.warning("The database is back: limits of keys are kept with it again.")
        self._pause_s = 0.0
        return result
