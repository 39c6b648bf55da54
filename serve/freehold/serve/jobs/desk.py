"""Where jobs are started, looked up, cancelled and started again. Each is run by the process that took it in."""

import asyncio
import contextlib
import fcntl
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import IO

from freehold.core.errors import IntegrityError, NotFoundError, RefusedError, UserError
from freehold.core.recording.lines import private_folder
from freehold.core.settings import Settings
from freehold.serve.child_command import Command, error_of
from freehold.serve.confinement import confined
from freehold.serve.engines.child import Child
from freehold.serve.files.inspection import passed_on
from freehold.serve.jobs.folder import MOST_LOG_BYTES, OVER, JobFolder, JobRecord, now
from freehold.serve.jobs.kinds import EVALUATION_KEYS, Wanted
from freehold.serve.tuning.commands import freehold

AT_ONCE: Mapping[str, int] = {"pull": 2, "quantize": 1, "evaluate": 1}
"""In one process; others wait."""
MOST_WAITING = 20
LOOK_S = 0.5
"""Between looks for a wish to cancel, which any process may leave."""
REACHING_OUT = ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
_ID = re.compile(r"job_[0-9a-f]{16}")


class TooManyHouseJobs(UserError):
    """As many jobs wait or run as may."""

    http_status = 429
    code = "too_many_jobs"


class JobDesk:
    """The jobs of one data folder, as one gateway process runs them."""

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        *,
        has_store: bool = True,
        program: Callable[..., Command] = freehold,
    ) -> None:
        self.settings = settings
        self._environ = environ
        self._has_store = has_store
        self._program = program
        self._root = settings.home / "jobs"
        self._turns = {kind: asyncio.Semaphore(count) for kind, count in AT_ONCE.items()}
        self._running: dict[str, asyncio.Task[None]] = {}

    # -- looking: these block on the disk ---------------------------------------------------------------------------

    def list(self) -> list[JobRecord]:
        """All that can be read, newest first."""
        found = []
        for path in self._root.iterdir() if self._root.is_dir() else ():
            with contextlib.suppress(FileNotFoundError, NotADirectoryError, IntegrityError):
                found.append(JobFolder(path).read())
        return sorted(found, key=lambda job: (-job.created_at, job.id))

    def get(self, job_id: str) -> JobRecord:
        """Raises NotFoundError."""
        return self._folder(job_id).read()

    def said(self, job_id: str, most_bytes: int = MOST_LOG_BYTES) -> str:
        """The end of its log. Raises NotFoundError."""
        return self._folder(job_id).said(most_bytes)

    # -- acting -----------------------------------------------------------------------------------------------------

    async def start(self, wanted: Wanted, actor: str) -> JobRecord:
        """Raises RefusedError without a store, TooManyHouseJobs, and NotFoundError for what is asked of."""
        self._refuse_unable()
        folder = JobFolder(self._root / f"job_{secrets.token_hex(8)}")
        wanted.words(folder.path, self.settings, again=False)
        return await self._begin(folder, JobRecord(folder.path.name, wanted, actor, "queued", now()))

    async def resume(self, job_id: str, actor: str) -> JobRecord:
        """Run it once more, from where it stopped where its command can. Raises UserError while it goes on."""
        self._refuse_unable()
        folder = self._folder(job_id)
        record = await asyncio.to_thread(folder.read)
        if record.state not in OVER or job_id in self._running:
            raise UserError(f"{job_id} goes on", why=f"it is {record.state}", next_step="Cancel it first.")
        if record.state == "succeeded":
            raise UserError(f"{job_id} has succeeded", next_step="Start another one.")
        record.wanted.words(folder.path, self.settings, again=True)
        folder.cancel.unlink(missing_ok=True)
        return await self._begin(folder, replace(record, actor=actor, state="queued", ended_at=None, error=""))

    async def cancel(self, job_id: str) -> JobRecord:
        """Ask whoever runs it to end it; it is over within a second or two. Raises UserError if it is over."""
        folder = self._folder(job_id)
        record = await asyncio.to_thread(folder.read)
        if record.state in OVER:
            raise UserError(f"{job_id} is over", why=f"it has {record.state}" if record.state != "cancelled" else "")
        folder.cancel.touch()
        return record

    async def close(self) -> None:
        """End what runs here; it can be started again."""
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    def _refuse_unable(self) -> None:
        if not self._has_store:
            raise RefusedError(
                "This gateway runs no jobs",
                why="it has no store: in a cluster models are pulled by the chart's Jobs",
                next_step="Write the model into the chart's values, or use the command line.",
            )
        if len(self._running) >= MOST_WAITING:
            raise TooManyHouseJobs(f"{MOST_WAITING} jobs wait or run", next_step="Wait for one, or cancel it.")

    def _folder(self, job_id: str) -> JobFolder:
        folder = JobFolder(self._root / job_id)
        if not _ID.fullmatch(job_id) or not folder.path.is_dir():
            raise NotFoundError(f"No job {job_id!r}", next_step="`GET /admin/v1/jobs` lists them.")
        return folder

    async def _begin(self, folder: JobFolder, record: JobRecord) -> JobRecord:
        private_folder(folder.path)
        lock = folder.lock.open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise UserError(f"{record.id} goes on", why="another process has just taken it up") from None
        await asyncio.to_thread(folder.write, record)
        task = asyncio.get_running_loop().create_task(self._run(folder, record, lock))
        self._running[record.id] = task
        task.add_done_callback(lambda _: self._running.pop(record.id, None))
        return record

    async def _run(self, folder: JobFolder, record: JobRecord, lock: IO[str]) -> None:
        """From its turn to its end; the lock on its folder tells all processes that somebody is at it."""
        with lock:
            try:
                ended = await self._in_turn(folder, record)
            except asyncio.CancelledError:
                folder.write(replace(record, state="interrupted", ended_at=now()))
                raise
            await asyncio.to_thread(folder.write, ended)

    async def _in_turn(self, folder: JobFolder, record: JobRecord) -> JobRecord:
        turn = self._turns[record.wanted.kind]
        while not folder.cancel.exists():
            try:
                await asyncio.wait_for(turn.acquire(), LOOK_S)
            except TimeoutError:
                continue
            try:
                return await self._watched(folder, record)
            finally:
                turn.release()
        return replace(record, state="cancelled", ended_at=now())

    async def _watched(self, folder: JobFolder, record: JobRecord) -> JobRecord:
        again = record.attempts > 0
        running = replace(record, state="running", started_at=now(), attempts=record.attempts + 1)
        await asyncio.to_thread(folder.write, running)
        words = record.wanted.words(folder.path, self.settings, again=again)
        child = await Child.start(confined(*self._program(*words)), self._environment(record.wanted), folder.log)
        try:
            while not child.has_ended:
                await asyncio.sleep(LOOK_S)
                if folder.cancel.exists():
                    await child.stop()
                    return replace(running, state="cancelled", ended_at=now())
            status = await child.wait()
        finally:
            await child.stop()
        if status == 0:
            return replace(running, state="succeeded", ended_at=now(), status=0)
        error = str(error_of(status, child.log_text()))
        return replace(running, state="failed", ended_at=now(), status=status, error=error)

    def _environment(self, wanted: Wanted) -> dict[str, str]:
        """What a command may know: no secret of the gateway, but for those that are for it."""
        found = {**passed_on(), "FREEHOLD_HOME": str(self.settings.home)}
        if wanted.kind == "pull":
            found |= {name: self._environ[name] for name in REACHING_OUT if name in self._environ}
            found["HF_ENDPOINT"] = self.settings.hub_endpoint
            found |= {"HF_TOKEN": self.settings.hub_token} if self.settings.hub_token else {}
        if wanted.kind == "evaluate":
            found |= {name: value for name, value in self._environ.items() if name.startswith(EVALUATION_KEYS)}
        if self.settings.offline:
            found |= {"FREEHOLD_OFFLINE": "1", "HF_HUB_OFFLINE": "1"}
        return found
