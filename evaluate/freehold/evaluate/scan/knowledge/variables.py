"""Variables of the environment that clients read: `variables.yaml`."""

from dataclasses import dataclass
from functools import cache

from freehold.evaluate.scan.knowledge.data import read_data


@dataclass(frozen=True, slots=True)
class Variable:
    """One of them."""

    name: str
    provider: str
    is_base: bool
    """It sets the base URL."""


@cache
def variables() -> dict[str, Variable]:
    """By name."""
    return {
        name: Variable(name, provider, kind == "base")
        for provider, groups in read_data("variables").items()
        for kind, names in groups.items()
        for name in names
    }
