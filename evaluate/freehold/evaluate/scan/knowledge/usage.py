"""Which calls and parameters use which feature: `methods.yaml` and `parameters.yaml`."""

from functools import cache
from typing import Any

from pydantic import Field

from freehold.core.manifest.data import Data
from freehold.evaluate.scan.knowledge.data import read_data


class Methods(Data):
    """The calls of one style of library."""

    calls: dict[str, tuple[str, ...]]
    distinct: tuple[str, ...] = ()
    beneath: dict[str, str] = Field(default_factory=dict)

    def of(self, name: str) -> tuple[str, ...]:
        """The features of a call; of one that is not listed, those of the part of the API that it belongs to."""
        if name in self.calls:
            return self.calls[name]
        return next(((feature,) for part, feature in self.beneath.items() if name.startswith(f"{part}.")), ())


class Parameter(Data):
    """What a parameter uses: a feature, or one by its value."""

    feature: str = ""
    values: dict[str, str] = Field(default_factory=dict)


class Parameters(Data):
    """All parameters, and the parts of messages and tools."""

    everywhere: dict[str, Parameter]
    parts: dict[str, str]
    keys: dict[str, str]


@cache
def methods() -> dict[str, Methods]:
    """By the table's name."""
    tables: dict[str, Any] = read_data("methods")
    return {name: Methods.model_validate(table) for name, table in tables.items()}


@cache
def parameters() -> Parameters:
    """The one set of them."""
    return Parameters.model_validate(read_data("parameters"))
