"""What a request costs: engine time on our own hardware, list price at a closed provider."""

from collections.abc import Mapping

from freehold.serve.config import DeploymentConfig, RayEngine, ServedModel, VllmEngine
from freehold.serve.engines.engine import Engine
from freehold.serve.state.comparing import comparisons
from freehold.serve.state.money import TokenRates, half_up, micros

HOUR_US = 3_600_000_000
MEMORY = 0.98
"""How much of the running mean a new request leaves: it is about the last fifty requests."""
_NO_ENGINES: Mapping[str, Engine] = {}


class _OwnModel:
    """Priced by engine time; remembers what its tokens have cost."""

    __slots__ = ("_expected", "_micros_per_hour", "_money", "_tokens")

    def __init__(self, micros_per_hour: int, expected: TokenRates) -> None:
        self._micros_per_hour = micros_per_hour
        self._expected = expected
        self._money = 0.0
        self._tokens = 0.0

    def charge(self, prompt_tokens: int, completion_tokens: int, engine_us: int) -> int:
        money = half_up(engine_us * self._micros_per_hour, HOUR_US)
        if tokens := prompt_tokens + completion_tokens:
            self._money = self._money * MEMORY + money
            self._tokens = self._tokens * MEMORY + tokens
        return money

    def forecast(self, prompt_tokens: int, completion_tokens: int) -> int:
        if not self._tokens:
            return self._expected.price(prompt_tokens, completion_tokens)
        return int((prompt_tokens + completion_tokens) * self._money / self._tokens + 0.5)


class _ClosedModel:
    """Priced by its list price."""

    __slots__ = ("_rates",)

    def __init__(self, rates: TokenRates) -> None:
        self._rates = rates

    def charge(self, prompt_tokens: int, completion_tokens: int, engine_us: int) -> int:
        return self._rates.price(prompt_tokens, completion_tokens)

    def forecast(self, prompt_tokens: int, completion_tokens: int) -> int:
        return self._rates.price(prompt_tokens, completion_tokens)


class Pricing:
    """Prices of a deployment's models, in micros of the gateway's currency.

    All arithmetic is on integers and rounds once, at the end, halves up: a GPU hour of 2.50 on two GPUs is 5,000,000
    micros an hour, so that 1.5 s of engine time cost 1,500,000 * 5,000,000 / 3,600,000,000 = 2083.33, thus 2083 micros.
    A model without a price costs 0.
    """

    def __init__(self, config: DeploymentConfig, engines: Mapping[str, Engine] = _NO_ENGINES) -> None:
        """An adapter has its model's price; which model's, `engines` says of those that came at runtime."""
        self.currency = config.gateway.currency
        self.comparisons = comparisons(config)
        """By model: the closed model that it stands in for."""
        self._prices: dict[str, _OwnModel | _ClosedModel] = {}
        for upstream_name, upstream in config.upstreams.items():
            for name, price in upstream.prices.items():
                rates = TokenRates(micros(price.input), micros(price.output))
                self._prices[f"{upstream_name}/{name}"] = _ClosedModel(rates)
        for name in config.adapters:
            self._prices.pop(name, None)
        for name, model in config.models.items():  # after the upstreams: a route's target is looked up here first
            self._prices.pop(name, None)
            if own := self._own_price(name, model):
                self._prices[name] = own
        self._models = config.models
        self._engines = engines
        self._adapters: dict[str, tuple[str, _OwnModel | None]] = {}
        """By adapter: its model and its price."""

    def charge(self, model: str, prompt_tokens: int, completion_tokens: int, engine_us: int) -> int:
        """What a finished request cost; to be called once for each, since forecasts learn from it."""
        price = self._prices.get(model) or self._adapter_price(model)
        return 0 if price is None else price.charge(prompt_tokens, completion_tokens, engine_us)

    def forecast(self, model: str, prompt_tokens: int, completion_tokens: int) -> int:
        """What a request is likely to cost, for the reservation before it runs.

        A closed model's list price. For our own, the mean price of a token over this process's last requests; before
        the first, the list price of the model that it replaces, else 0.
        """
        price = self._prices.get(model) or self._adapter_price(model)
        return 0 if price is None else price.forecast(prompt_tokens, completion_tokens)

    def _adapter_price(self, name: str) -> "_OwnModel | None":
        """Learnt for each adapter, and kept for requests that end after it was unloaded."""
        engine = self._engines.get(name)
        model, price = self._adapters.get(name, ("", None))
        if engine is not None and engine.adapter is not None and engine.adapter.model != model:
            model = engine.adapter.model
            price = self._own_price(model, self._models[model])
            self._adapters[name] = (model, price)
        return price

    def _own_price(self, name: str, model: ServedModel) -> "_OwnModel | None":
        if model.cost is None:
            return None
        compared = self.comparisons.get(name)
        expected = compared.rates if compared else TokenRates(0, 0)
        return _OwnModel(micros(model.cost.gpu_hour) * _gpus(model), expected)


def _gpus(model: ServedModel) -> int:
    assert model.cost is not None, "a model without cost has no price"
    if model.cost.gpus is not None:
        return model.cost.gpus
    if not isinstance(model.engine, VllmEngine):
        return 1
    if isinstance(model.engine, RayEngine):
        return model.engine.tensor_parallel * model.engine.pipeline_parallel * model.engine.replicas
    return model.engine.tensor_parallel
