"""The adapter of a job that succeeded becomes a model that its team may name, on every replica, without a restart."""

from sqlalchemy import Connection

from freehold.core.errors import NotFoundError
from freehold.serve.state.adapters import add_adapter, list_reports, remove_adapter
from freehold.serve.state.database import Database
from freehold.serve.state.keys import grant_model
from freehold.serve.state.tuning import JobRecord
from freehold.serve.tuning.failures import Failure


class Publication:
    """One adapter on its way to the engines."""

    def __init__(self, database: Database, job: JobRecord, artifact_id: str) -> None:
        self._database = database
        self._job = job
        self._artifact_id = artifact_id

    async def begin(self) -> None:
        """Ask for it, and let the job's key name it."""

        def ask(connection: Connection) -> None:
            add_adapter(connection, self._job.model, self._job.tuned_model, self._artifact_id)
            grant_model(connection, self._job.key_id, self._job.tuned_model)

        await self._database.run(ask)

    async def outcome(self) -> "bool | Failure":
        """True once every replica answers for it, False before, Failure if one of them cannot."""
        reports = await self._database.run(lambda connection: list_reports(connection, self._job.model))
        ours = {report.replica: report for report in reports if report.name == self._job.tuned_model}
        for report in ours.values():
            if report.phase == "failed":
                return Failure("adapter_not_served", f"The adapter was trained, and cannot be served: {report.detail}")
        everywhere = {report.replica for report in reports}
        return bool(ours) and all(
            replica in ours and ours[replica].serving == self._artifact_id for replica in everywhere
        )

    async def withdraw(self) -> None:
        """Ask for it no more."""

        def forget(connection: Connection) -> None:
            try:
                remove_adapter(connection, self._job.model, self._job.tuned_model)
            except NotFoundError:  # somebody has unloaded it
                return

        await self._database.run(forget)
