"""A run by several processes, from its prepared folder to the trained model in this one."""

import json
import sys
from collections.abc import Mapping
from typing import Any

from freehold.core.model.loading import load_tokenizer
from freehold.core.progress import phase
from freehold.core.quiet import quiet_libraries
from freehold.core.store import Store
from freehold.finetune.model.loading import load_base
from freehold.finetune.scale.arguments import distributed_arguments
from freehold.finetune.scale.ray_cluster import run_on_ray
from freehold.finetune.scale.report import WorkerFiles
from freehold.finetune.scale.workers import run_workers
from freehold.finetune.training.folder import RunFolder
from freehold.finetune.training.stage import Task, Trained


def train_together(folder: RunFolder, store: Store, *, facts: Mapping[str, Any] | None = None) -> Trained:
    """What `training.stage.train` does, shared by `scale.workers` processes. The model is loaded from what they saved.

    Raises the error of a worker that failed, EnvironmentProblem for one that died.
    """
    task = Task.load(folder, store)
    scale, precision = task.recipe.scale, task.plan.precision
    distributed_arguments(task.recipe, precision)  # refuse here, once, what each worker would refuse
    files = WorkerFiles(folder.path / "workers")
    files.write(files.facts, dict(facts or {}))
    if scale.launcher == "ray":
        run_on_ray(folder.path, store.root, scale.workers, use_gpu=precision.device == "cuda")
    else:
        command = [sys.executable, "-m", "freehold.finetune.scale.worker", str(folder.path), str(store.root)]
        run_workers(command, files, scale.workers)
    with phase("Loading what the workers trained"), quiet_libraries():
        from peft import PeftModel

        model = PeftModel.from_pretrained(load_base(task.base, task.recipe, precision), folder.adapter)
    return Trained(model, load_tokenizer(task.base), json.loads(files.metrics.read_text()))
