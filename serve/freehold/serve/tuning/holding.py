"""A job while this process holds its lease: kept alive, told about, moved on, let go."""

import logging
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from freehold.serve.state.database import Database, DatabaseUnavailable
from freehold.serve.state.tuning import Happening, JobRecord, Status, get_job
from freehold.serve.state.tuning_work import keep_job, let_go, move_job
from freehold.serve.tuning.failures import Failure
from freehold.serve.tuning.progress import Progress

log = logging.getLogger("freehold.tuning")


class Interrupted(Exception):
    """The job is over, or somebody else's: what is done for it here is of no use any more."""


class HeldJob:
    """One job's row. `runner` is this process, as leases name it."""

    def __init__(self, database: Database, job: JobRecord, runner: str, lease_s: float, progress: Progress) -> None:
        self.job = job
        self.spent_s = job.spent_s
        self._database = database
        self._runner = runner
        self._lease_s = lease_s
        self._progress = progress
        self._untold: list[Happening] = []
        self._is_reported = False

    async def keep(self, happenings: Sequence[Happening] = ()) -> None:
        """Renew the lease, with news. Raises Interrupted if the job was cancelled or lost.

        While the database is away the work goes on; what happened meanwhile is told when it is back.
        """
        self._untold += happenings

        def keep(connection: Connection) -> JobRecord | None:
            kept = keep_job(connection, self.job.id, self._runner, self._lease_s, self.spent_s, self._untold)
            if kept is not None:
                self._progress.note(connection, self.job.id)
            return kept

        try:
            kept = await self._database.run(keep)
        except DatabaseUnavailable as error:
            if not self._is_reported:
                log.warning("%s. %s goes on without it", error, self.job.id)
            self._is_reported = True
            return
        self._untold, self._is_reported = [], False
        if kept is None:
            raise Interrupted

    async def move(self, status: Status, happenings: Sequence[Happening], **values: Any) -> None:
        """Give it its next state and let go of it. Raises Interrupted, and DatabaseUnavailable."""
        told = [*self._untold, *happenings]
        moved = await self._database.run(
            lambda connection: move_job(connection, self.job.id, self._runner, status, told, **values)
        )
        if not moved:
            raise Interrupted
        log.info("%s: %s", self.job.id, status)

    async def fail(self, failure: Failure, **values: Any) -> None:
        """End it so."""
        error = failure.document()
        await self.move("failed", [Happening(error["message"], "error")], error=error, **values)

    async def let_go(self) -> None:
        """Leave it to whoever looks for work next."""
        await self._database.run(lambda connection: let_go(connection, self.job.id, self._runner))

    async def is_over(self) -> bool:
        """Whether it has ended, here or elsewhere."""
        job = await self._database.run(lambda connection: get_job(connection, self.job.id, None))
        return job.is_over
