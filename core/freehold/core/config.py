"""What the schemas of YAML files are made of: `freehold.yaml`, suites."""

from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


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


def web_root(url: str) -> str:
    """An http or https URL without a trailing slash. Raises ValueError on anything else."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("it is no http or https URL")
    return url.rstrip("/")


def problem_text(item: Any, *, tags: frozenset[str] = frozenset()) -> str:
    """An item of pydantic's `errors()` as `path: what is wrong (given …)`; `tags` of unions are no part of the path."""
    place = ".".join(str(part) for part in item["loc"] if part not in tags) or "(top level)"
    if item["type"] == "extra_forbidden":
        return f"{place}: unknown key"
    given = "" if item["type"] == "missing" or isinstance(item["input"], dict) else f" (given {item['input']!r})"
    return f"{place}: {item['msg'][0].lower()}{item['msg'][1:]}{given}"
