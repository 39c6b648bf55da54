"""Takes jobs from the queue and works on them: one a GPU, or one on a machine without."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial

from freehold.core.environment.gpu import nvidia_smi
from freehold.core.settings import Settings
from freehold.serve.config import DeploymentConfig, TuningConfig
from freehold.serve.files.api import file_storage
from freehold.serve.files.sweeping import sweep_files
from freehold.serve.gateway.quotas import new_replica_id
from freehold.serve.state.database import DatabaseUnavailable, default_url, open_database
from freehold.serve.state.tuning_work import Stage, take_job
from freehold.serve.tuning.commands import Commands
from freehold.serve.tuning.work import JobWork, Workshop

log = logging.getLogger("freehold.tuning")


def gpu_numbers(environ: Mapping[str, str] = os.environ) -> list[int]:
    """The GPUs that this process may use."""
    allowed = environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None:
        return [int(number) for number in allowed.split(",") if number.strip().isdigit()]
    return list(range(sum(line.startswith("GPU ") for line in nvidia_smi("-L"))))


def places(config: TuningConfig, gpus: Sequence[int]) -> list[int | None]:
    """The GPU of each job that may run at once, on a machine with these; None is the CPU."""
    numbers: list[int | None] = [*(gpus if config.gpus is None else config.gpus)]
    available = numbers or [None]
    if config.concurrent_jobs is None:
        return available
    return [available[index % len(available)] for index in range(config.concurrent_jobs)]


@asynccontextmanager
async def tuning(
    config: DeploymentConfig, settings: Settings, commands: Commands | None = None, *, lease_s: float = 30.0
) -> AsyncIterator[None]:
    """Jobs are worked on inside the block; those that it ends in the middle of are left to whoever comes next."""
    if config.tuning is None:
        yield
        return
    database = open_database(config.gateway.database or default_url(settings.home))
    storage, commands = file_storage(settings), commands or Commands(config.tuning)
    workshop = Workshop(database, config, settings, storage, commands, new_replica_id(), lease_s)
    gpus = await asyncio.to_thread(gpu_numbers)
    tasks = [asyncio.create_task(_work(workshop, "check", None))] if config.tuning.concurrent_jobs != 0 else []
    tasks += [asyncio.create_task(_work(workshop, "train", gpu)) for gpu in places(config.tuning, gpus)]
    tasks.append(asyncio.create_task(sweep_files(database, storage)))
    for task in tasks:
        task.add_done_callback(_report_end)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(database.close)


async def _work(shop: Workshop, stage: Stage, gpu: int | None) -> None:
    """Take one job after the other, until cancelled."""
    while True:
        at_work = tuple(shop.at_work)
        try:
            job = await shop.database.run(
                partial(take_job, runner=shop.runner, stage=stage, lease_s=shop.lease_s, but_not=at_work)
            )
            if job is not None:
                shop.at_work.add(job.id)
                try:
                    await JobWork(shop, job, gpu).run(stage)
                finally:
                    shop.at_work.discard(job.id)
                continue
        except DatabaseUnavailable as error:
            log.warning("%s. Fine-tuning jobs wait for it", error)
        await asyncio.sleep(shop.heartbeat_s)


def _report_end(task: "asyncio.Task[None]") -> None:
    """A bug must not leave jobs waiting in silence."""
    if not task.cancelled() and task.exception() is not None:
        log.critical("Fine-tuning jobs are not worked on any more", exc_info=task.exception())
