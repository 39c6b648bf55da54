"""What every part of the schema is made of."""

from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

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
