"""What every part of the schema is made of."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from freehold.core.errors import ConfigError, NotFoundError

NAME = r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$"
"""What a model or a route may be called."""
UPSTREAM_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
"""What an upstream may be called; a slash ends it where a route names its model."""


class ConfigModel(BaseModel):
    """Frozen, strict about unknown keys, camelCase outside."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )


class SecretRef(ConfigModel):
    """A secret by reference; its value is never written into a config file."""

    env: str
    """Name of the environment variable that holds it."""


def without_version(url: str) -> str:
    """A base URL that ends before `/v1`. Raises ValueError on one that names no host."""
    parts = urlsplit(url)
    if not parts.hostname:
        raise ValueError("it names no host")
    if parts.port == 0:  # reading `port` raises ValueError on one that is no port
        raise ValueError("port 0 is no port")
    return url.rstrip("/").removesuffix("/v1")


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
    place = ".".join(str(part) for part in item["loc"] if part not in ("process", "remote", "[key]")) or "(top level)"
    if item["type"] == "extra_forbidden":
        return f"{place}: unknown key"
    given = "" if item["type"] == "missing" or isinstance(item["input"], dict) else f" (given {item['input']!r})"
    return f"{place}: {item['msg'][0].lower()}{item['msg'][1:]}{given}"
