"""A run over the machines of a Ray cluster, by Ray Train. https://docs.ray.io/en/latest/train/train.html

Workers read the run's folder and the store by their paths, so all machines must see them there (a shared file system);
checkpoints are ours, in that folder, and a worker group that Ray starts again goes on from the newest.
"""

import os
from pathlib import Path
from typing import Any

from freehold.core.errors import EnvironmentProblem, FreeholdError
from freehold.core.progress import hint
from freehold.core.quiet import quiet_libraries
from freehold.finetune.scale.report import WorkerFiles

RESTARTS = 2
"""Times that the group of workers is started again after one of them died."""


def run_on_ray(run_folder: Path, store_root: Path, count: int, *, use_gpu: bool) -> None:
    """Run a prepared folder in `count` Ray workers: on the cluster of `RAY_ADDRESS`, else on one of this machine.

    Raises the error of a worker that failed, or EnvironmentProblem when the cluster could not run it.
    """
    # Ray would report its usage to its makers. Nothing leaves by surprise.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        with quiet_libraries():
            import ray
            from ray.train import FailureConfig, RunConfig, ScalingConfig
            from ray.train.torch import TorchTrainer
    except ImportError as error:
        raise EnvironmentProblem(
            "`scale.launcher: ray` needs Ray Train",
            why=str(error),
            next_step="Install the extra `ray`, or set `scale: {launcher: accelerate}`.",
        ) from error
    files = WorkerFiles(run_folder / "workers")
    files.clear()
    ours = not ray.is_initialized()
    if ours:
        _connect(ray, count)
    try:
        TorchTrainer(
            _share,
            train_loop_config={"folder": str(run_folder), "store": str(store_root)},
            scaling_config=ScalingConfig(num_workers=count, use_gpu=use_gpu),
            run_config=RunConfig(
                name="ray", storage_path=str(run_folder), failure_config=FailureConfig(max_failures=RESTARTS)
            ),
        ).fit()
    except ray.train.TrainingFailedError as error:
        raise files.read_error(range(count)) or _failure(error) from error
    finally:
        if ours:
            ray.shutdown()


def _share(config: dict[str, Any]) -> None:
    """What each Ray worker does; Ray has set up torch.distributed and its environment."""
    import ray.train

    from freehold.finetune.scale.worker import work

    # A group that was started again goes on from the newest checkpoint; see `training.stage.train`.
    status = work(Path(config["folder"]), Path(config["store"]), keep_group=True)
    if status:
        raise RuntimeError("This worker failed; its reason is in the run's folder.")
    ray.train.report({})


def _connect(ray: Any, count: int) -> None:
    with quiet_libraries():
        if os.environ.get("RAY_ADDRESS"):
            ray.init(log_to_driver=True)
        else:
            hint(f"RAY_ADDRESS is not set: Ray starts on this machine for {count} workers.")
            # One more than the workers: Ray Train's controller takes a share of its own.
            # Said to be local, or Ray would look for a cluster on this machine, one that has ended included.
            ray.init("local", num_cpus=max(count + 1, os.cpu_count() or 1), include_dashboard=False, log_to_driver=True)


def _failure(error: Exception) -> FreeholdError:
    lines = str(error).strip().splitlines()
    return EnvironmentProblem(
        "The Ray workers did not finish the run",
        why=lines[-1] if lines else type(error).__name__,
        next_step="See `ray status` and the workers' logs. Checkpoints are kept: go on with `--resume`.",
    )
