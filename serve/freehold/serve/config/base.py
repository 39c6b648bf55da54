"""What every part of the schema is made of."""

from freehold.core.config import ConfigModel, SecretRef, without_version

__all__ = ["NAME", "UPSTREAM_NAME", "ConfigModel", "SecretRef", "without_version"]

NAME = r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$"
"""What a model or a route may be called."""
UPSTREAM_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
"""What an upstream may be called; a slash ends it where a route names its model."""
