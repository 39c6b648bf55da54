"""One stage of one job: its command is run, watched and judged, and the job is moved on."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from sqlalchemy import Connection

from freehold.core.errors import FreeholdError, NotFoundError
from freehold.core.gates import read_verdict
from freehold.core.settings import Settings
from freehold.core.store import Artifact, Store
from freehold.core.store.atomic import write_atomically
from freehold.serve.config import DeploymentConfig, TuningConfig
from freehold.serve.engines.child import Child
from freehold.serve.files.storage import FileStorage
from freehold.serve.state.database import Database, DatabaseUnavailable
from freehold.serve.state.files import get_file
from freehold.serve.state.tuning import Happening, JobRecord
from freehold.serve.state.tuning_work import Stage
from freehold.serve.tuning.commands import Command, Commands
from freehold.serve.tuning.failures import Failure, failure_of, failure_of_check, is_killed
from freehold.serve.tuning.holding import HeldJob, Interrupted
from freehold.serve.tuning.naming import artifact_name
from freehold.serve.tuning.progress import Progress
from freehold.serve.tuning.publishing import Publication
from freehold.serve.tuning.recipe import recipe_of
from freehold.serve.tuning.results import store_results
from freehold.serve.tuning.run_folder import RunFolder

MAX_ATTEMPTS = 3
"""Starts of a training that was killed or lost its machine each time; more would be no chance."""
CHECK_LIMIT_S = 3600.0
SERVE_LIMIT_S = 900.0
"""For every replica to load an adapter; engines may be starting."""


@dataclass(frozen=True)
class Workshop:
    """What every job is worked on with."""

    database: Database
    deployment: DeploymentConfig
    settings: Settings
    storage: FileStorage
    commands: Commands
    runner: str
    """This process, as leases name it."""
    lease_s: float = 30.0
    """Without a sign of life for so long, a job is anybody's. Longer than a guard takes to end an orphan."""
    heartbeat_s: float = 1.0
    at_work: set[str] = field(default_factory=set)
    """Jobs that this process works on now."""

    @property
    def config(self) -> TuningConfig:
        assert self.deployment.tuning is not None, "jobs are worked on where there is such a section"
        return self.deployment.tuning


class OverTime(FreeholdError):
    """The job has had its time."""

    code = "time_limit_exceeded"


class JobWork:
    """Works on one job that `take_job` gave to this process; `gpu` is the one that it may use."""

    def __init__(self, shop: Workshop, job: JobRecord, gpu: int | None) -> None:
        self._shop = shop
        self._job = job
        self._gpu = gpu
        self._folder = shop.settings.home / "tuning" / job.id
        self._run_folder = RunFolder(shop.settings.home, artifact_name(job.model, job.id))
        self._progress = Progress(job, self._run_folder)
        self._held = HeldJob(shop.database, job, shop.runner, shop.lease_s, self._progress)

    async def run(self, stage: Stage) -> None:
        """Return when there is nothing more to do for it here; a cancelled task leaves it to others.

        Raises DatabaseUnavailable: the lease then runs out, and the job is taken up again.
        """
        try:
            with suppress(Interrupted):
                await self._guarded(stage)
        except asyncio.CancelledError:
            with suppress(DatabaseUnavailable):
                await self._held.let_go()
            raise
        if await self._held.is_over():
            await asyncio.to_thread(self._run_folder.drop_checkpoints)

    async def _guarded(self, stage: Stage) -> None:
        try:
            await (self._check() if stage == "check" else self._train())
        except DatabaseUnavailable:
            raise
        except FreeholdError as error:
            await self._held.fail(Failure(error.code, str(error)))

    async def _check(self) -> None:
        train, evaluation = await self._files()
        command = self._shop.commands.check(train, evaluation, self._base())
        status, output = await self._execute(command, "check.log", CHECK_LIMIT_S)
        if status == 0:
            self._held.spent_s = 0.0
            await self._held.keep()
            await self._held.move("queued", [Happening("Files validated, moving job to queued state")])
        else:
            await self._held.fail(failure_of_check(status, output, self._shop.settings.home))

    async def _train(self) -> None:
        if self._job.attempts > MAX_ATTEMPTS:
            await self._held.fail(Failure("training_killed", f"Training was cut short {MAX_ATTEMPTS} times."))
            return
        if await self._made() is None and not await self._did(await self._prepared()):
            return
        artifact = await self._made()
        if artifact is None:
            await self._held.fail(Failure("training_failed", "The command ended well, and left no artifact."))
            return
        if not self._is_proven(artifact) and not await self._did(self._shop.commands.judge(artifact.id)):
            return
        await self._succeed(artifact)

    async def _did(self, command: Command) -> bool:
        """Run a command; False if it failed, which the job then says."""
        status, output = await self._execute(command, "train.log", self._shop.config.time_limit_s)
        if status == 0:
            return True
        failure = failure_of(status, output, self._shop.settings.home)
        if is_killed(status) and self._job.attempts < MAX_ATTEMPTS:
            told = Happening(f"Training was cut short, and will be resumed: {failure.message}", "warn")
            await self._held.move("queued", [told])
        else:
            await self._held.fail(failure)
        return False

    async def _prepared(self) -> Command:
        """The command that trains, with its recipe written."""
        train, evaluation = await self._files()
        recipe = recipe_of(self._job, self._base(), train, evaluation, self._shop.config.defaults)
        path = self._folder / "recipe.yaml"
        await asyncio.to_thread(write_atomically, path, yaml.safe_dump(recipe).encode(), 0o600)
        checkpoints = self._run_folder.checkpoints()
        how = f"resumed from step {checkpoints[-1]}" if checkpoints else "started"
        await self._held.keep([Happening(f"Fine-tuning job {how}")])
        return self._shop.commands.train(path)

    async def _succeed(self, artifact: Artifact) -> None:
        shop, job = self._shop, self._job
        lines = await asyncio.to_thread(lambda: list(self._run_folder.all_lines()))
        results = await shop.database.run(lambda connection: store_results(connection, shop.storage, job, lines))
        made = {"artifact": artifact.id, "result_file": results}
        failure = await self._publish(artifact) if shop.config.serve else None
        if failure is not None:
            await self._held.fail(failure, **made)
            return
        told = (f"New fine-tuned model created: {job.tuned_model}", "The job has successfully completed")
        await self._held.move("succeeded", [Happening(message) for message in told], **made)

    async def _publish(self, artifact: Artifact) -> Failure | None:
        """Serve it; why not, if that cannot be."""
        publication = Publication(self._shop.database, self._job, artifact.id)
        await publication.begin()
        deadline = time.monotonic() + SERVE_LIMIT_S
        failure: Failure | None = None
        while failure is None and time.monotonic() < deadline:
            await asyncio.sleep(self._shop.heartbeat_s)  # first: gateways learn in that time what the key may name
            outcome = await publication.outcome()
            if outcome is True:
                return None
            failure = outcome or None
            await self._held.keep()
        await publication.withdraw()
        return failure or Failure("adapter_not_served", f"No engine had loaded it after {SERVE_LIMIT_S:.0f} s.")

    async def _files(self) -> tuple[Path, Path | None]:
        """The bytes of the job's files. Raises NotFoundError where the data folder lacks them."""

        def find(connection: Connection) -> list[Path]:
            names = (self._job.training_file, self._job.validation_file)
            return [
                self._shop.storage.path(get_file(connection, name, None, in_any_state=True)) for name in names if name
            ]

        paths = await self._shop.database.run(find)
        for path in paths:
            if not path.is_file():
                raise NotFoundError(
                    f"The bytes of {path.stem} are not here", why="replicas that run jobs have to share the data folder"
                )
        return paths[0], paths[1] if len(paths) > 1 else None

    def _base(self) -> str:
        """Id of the artifact that the job starts from."""
        model = self._shop.deployment.models.get(self._job.model)
        if model is None or model.artifact is None:
            raise NotFoundError(f"The model '{self._job.model}' is not served any more")
        return Store(self._shop.settings.store_root).get(model.artifact).id

    async def _made(self) -> Artifact | None:
        """What the job has put into the store so far."""
        store, name = Store(self._shop.settings.store_root), artifact_name(self._job.model, self._job.id)
        return await asyncio.to_thread(store.find, name)

    def _is_proven(self, artifact: Artifact) -> bool:
        """Whether it has passed the parity gate."""
        verdict = read_verdict(Store(self._shop.settings.store_root), artifact, "parity")
        return verdict is not None and verdict.passed

    async def _execute(self, command: Command, log_name: str, limit_s: float) -> tuple[int, str]:
        """Run a command to its end; its exit status and what it printed. Raises Interrupted and OverTime."""
        shop, held = self._shop, self._held
        environment = shop.commands.environment(shop.settings.home, self._gpu)
        child = await Child.start(command, environment, self._folder / log_name)
        ending = asyncio.create_task(child.wait())
        try:
            while not ending.done():
                began = time.monotonic()
                await asyncio.wait([ending], timeout=shop.heartbeat_s)
                held.spent_s += time.monotonic() - began
                await held.keep(await asyncio.to_thread(self._progress.look))
                if held.spent_s > limit_s and not ending.done():
                    raise OverTime(f"The job has run for {held.spent_s:.0f} s", why=f"its limit is {limit_s:.0f} s")
            await held.keep(await asyncio.to_thread(self._progress.look))
            return ending.result(), await asyncio.to_thread(child.log_text)
        finally:
            if not ending.done():
                await child.stop()
            await ending
