"""What every part of the schema is made of."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

NAME = r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$"
"""What a model, a route or an upstream may be called."""


class ConfigModel(BaseModel):
    """Frozen, strict about unknown keys, camelCase outside."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )


class SecretRef(ConfigModel):
    """A secret by reference; its value is never written into a config file."""

    env: str
    """Name of the environment variable that holds it."""
