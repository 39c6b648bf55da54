"""`engines.yaml`: where a cluster runs the engines of a deployment; the chart writes it, the gateway reads it."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from freehold.core.errors import ConfigError
from freehold.serve.config import ConfigModel, DeploymentConfig, ProcessEngine
from freehold.serve.config.base import NAME, problem_of, read_yaml


class EnginePlace(ConfigModel):
    """The replicas of one model's engine."""

    service: str = Field(min_length=1)
    """Host name whose addresses are the replicas, of a headless Service for example."""
    port: int = Field(default=8000, gt=0, le=65535)
    """Where each replica's vLLM listens."""
    attendant_port: int = Field(default=8001, gt=0, le=65535)
    """Where each replica's attendant listens."""
    hold_s: float = Field(default=0.0, ge=0)
    """How long a request may wait while no replica is ready; 0 answers 503 at once."""
    max_held: int = Field(default=1024, gt=0)
    """Requests that may wait at the same time in one gateway; any more are answered 503 at once."""


class EnginesFile(ConfigModel):
    """Every model whose engine is a process, by its name in the deployment."""

    engines: dict[Annotated[str, Field(pattern=NAME)], EnginePlace]


def load_engines(path: Path, config: DeploymentConfig) -> EnginesFile:
    """Read the file. Raises ConfigError with every problem at once, among them models that only one of the two has."""
    data = read_yaml(path, "The chart writes it; its schema: docs/gateway.md.")
    try:
        file = EnginesFile.model_validate(data if data is not None else {})
    except ValidationError as error:
        raise ConfigError(f"{path} is no engines file", [problem_of(item) for item in error.errors()]) from error
    ours = {name for name, model in config.models.items() if isinstance(model.engine, ProcessEngine)}
    problems = [
        f"engines.{name}: missing; the deployment has this model" for name in sorted(ours - file.engines.keys())
    ]
    for name in sorted(file.engines.keys() - ours):
        why = (
            f"the deployment has it as a {config.models[name].engine.kind} engine"
            if name in config.models
            else "the deployment has no such model"
        )
        problems.append(f"engines.{name}: {why}")
    if problems:
        raise ConfigError(f"{path} does not fit the deployment", problems)
    return file
