"""The recipe of a job: what its request, the deployment and the files come to for `freehold finetune`."""

from pathlib import Path
from typing import Any

from freehold.serve.config import TuningDefaults
from freehold.serve.state.tuning import JobRecord
from freehold.serve.tuning.naming import artifact_name

AUTO = "auto"


def recipe_of(
    job: JobRecord, base: str, train: Path, evaluation: Path | None, defaults: TuningDefaults
) -> dict[str, Any]:
    """The recipe as YAML has it. `base` is the artifact that the job starts from."""
    method = job.request["method"]
    given = method[method["type"]]["hyperparameters"]
    training: dict[str, Any] = {
        "objective": "dpo" if method["type"] == "dpo" else "sft",
        "epochs": _or(given["n_epochs"], defaults.epochs),
        "batchSize": _or(given["batch_size"], defaults.batch_size),
        "learningRateMultiplier": _or(given["learning_rate_multiplier"], 1.0),
        "seed": job.request["seed"],
    }
    if defaults.learning_rate is not None:
        training["learningRate"] = defaults.learning_rate
    if defaults.max_length is not None:
        training["maxLength"] = defaults.max_length
    if given.get("beta", AUTO) != AUTO:
        training["preferenceBeta"] = given["beta"]
    data: dict[str, Any] = {"train": [str(train)]}
    if evaluation is None:
        data["evalFraction"] = defaults.eval_fraction
    else:
        data["eval"] = [str(evaluation)]
    return {
        "model": base,
        "data": data,
        "lora": {"rank": defaults.rank},
        "training": training,
        "output": {"name": artifact_name(job.model, job.id)},
    }


def _or(given: Any, default: Any) -> Any:
    return default if given == AUTO else given
