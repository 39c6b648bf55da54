"""What every part of the schema is made of."""

from pathlib import Path
from typing import Any

import yaml

from freehold.core.config import ConfigModel, SecretRef, problem_text, without_version
from freehold.core.errors import ConfigError, NotFoundError

__all__ = ["NAME", "UPSTREAM_NAME", "ConfigModel", "SecretRef", "problem_of", "read_yaml", "without_version"]

NAME = r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$"
"""What a model or a route may be called."""
UPSTREAM_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
"""What an upstream may be called; a slash ends it where a route names its model."""
_TAGS = frozenset({"process", "ray", "remote", "[key]"})
"""Of the union of engines; no part of a path in the file."""


def read_yaml(path: Path, next_step: str) -> Any:
    """What a YAML file holds. Raises NotFoundError with the next step, ConfigError for what is no YAML."""
    try:
        return yaml.safe_load(path.read_text())
    except FileNotFoundError as error:
        raise NotFoundError(f"No config file {path}", next_step=next_step) from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML", [str(error)]) from error


def problem_of(item: Any) -> str:
    """One of pydantic's errors as a line: its path in the file, and what is wrong there."""
    return problem_text(item, tags=_TAGS)
