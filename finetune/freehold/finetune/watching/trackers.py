"""Trackers that also get the metrics (`watch.reportTo`): transformers talks to them, if their package is there."""

from collections.abc import Sequence
from importlib.util import find_spec

from freehold.core.errors import EnvironmentProblem

PACKAGES = {"mlflow": ("mlflow",), "wandb": ("wandb",), "tensorboard": ("tensorboard", "tensorboardX")}
"""Packages of each, any of which will do."""


def check_trackers(names: Sequence[str]) -> None:
    """Raises EnvironmentProblem naming every tracker whose package is not installed."""
    missing = [name for name in names if not any(find_spec(package) for package in PACKAGES[name])]
    if missing:
        raise EnvironmentProblem(
            f"`watch.reportTo` names {', '.join(missing)}",
            why=f"{'it is' if len(missing) == 1 else 'they are'} not installed in this environment",
            next_step=f"Run `pip install {' '.join(PACKAGES[name][0] for name in missing)}`, or leave it out: "
            "metrics.jsonl and report.html are written in any case.",
        )
