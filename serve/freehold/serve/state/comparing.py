"""Which closed model each of a deployment's models stands in for, and at what list price."""

from typing import NamedTuple

from freehold.serve.config import DeploymentConfig
from freehold.serve.state.money import TokenRates, micros


class Comparison(NamedTuple):
    """The closed model that a model stands in for."""

    closed_model: str
    rates: TokenRates
    has_cost: bool
    """Whether our own cost is known; without it there is a price to show, but no saving."""


def comparisons(config: DeploymentConfig) -> dict[str, Comparison]:
    """By model, for those that have `replaces`, and by adapter of the config: it stands in for the same."""
    return {
        served: Comparison(
            model.replaces.model,
            TokenRates(micros(model.replaces.input_price), micros(model.replaces.output_price)),
            model.cost is not None,
        )
        for name, model in config.models.items()
        if model.replaces
        for served in (name, *(model.adapters or ()))
    }
