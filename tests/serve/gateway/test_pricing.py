"""Prices, with figures that can be checked by hand."""

from typing import Any

import pytest

from freehold.serve.config import parse_config
from freehold.serve.gateway.ledger import Pricing

CONFIG: dict[str, Any] = {
    "models": {
        # 2.50 an hour for each of two GPUs: 5,000,000 micros an hour
        "pair": {"artifact": "a", "engine": {"tensorParallel": 2}, "cost": {"gpuHour": 2.5}},
        # 3.60 an hour: 1000 micros a second
        "plain": {
            "artifact": "b",
            "cost": {"gpuHour": 3.6},
            "replaces": {"model": "closed-4", "inputPrice": 2.5, "outputPrice": 10},
        },
        "slice": {"artifact": "c", "engine": {"tensorParallel": 2}, "cost": {"gpuHour": 3.6, "gpus": 8}},
        "spread": {
            "artifact": "f",
            "engine": {"kind": "ray", "tensorParallel": 2, "pipelineParallel": 2, "replicas": 3},
            "cost": {"gpuHour": 3.6},
        },
        "uncosted": {"artifact": "d", "replaces": {"model": "closed-4", "inputPrice": 2.5, "outputPrice": 10}},
        "elsewhere": {"engine": {"kind": "remote", "baseUrl": "http://10.0.0.7:8000"}, "cost": {"gpuHour": 3.6}},
        "closed/shadowed": {"artifact": "e"},
    },
    "upstreams": {
        "closed": {
            "baseUrl": "https://api.example.com",
            "prices": {
                "big": {"input": 2.5, "output": 10},
                "small": {"input": 0.15, "output": 0.6},
                "shadowed": {"input": 1, "output": 1},
            },
        }
    },
    "gateway": {"currency": "USD"},
}


@pytest.fixture
def pricing() -> Pricing:
    return Pricing(parse_config(CONFIG, "a test"))


@pytest.mark.parametrize(
    ("model", "engine_us", "money"),
    [
        ("plain", 1_000_000, 1000),
        ("plain", 1_500, 2),  # 1.5 micros: halves go up
        ("plain", 1_499, 1),
        ("plain", 0, 0),
        ("pair", 1_500_000, 2083),  # 1.5 s * 5,000,000 / 3600 s = 2083.33
        ("pair", 3_600_000_000, 5_000_000),
        ("slice", 1_000_000, 8000),  # `gpus` counts, whatever the engine's tensorParallel
        ("spread", 1_000_000, 12_000),  # two by two GPUs, three times
        ("elsewhere", 1_000_000, 1000),
        ("uncosted", 1_000_000, 0),
        ("unheard-of", 1_000_000, 0),
        ("closed/shadowed", 1_000_000, 0),  # a model of ours, which is looked up before the upstream
    ],
)
def test_our_own_models_cost_their_engine_time(pricing: Pricing, model: str, engine_us: int, money: int) -> None:
    assert pricing.charge(model, 100, 100, engine_us) == money


@pytest.mark.parametrize(
    ("model", "prompt_tokens", "completion_tokens", "money"),
    [
        ("closed/big", 1_000_000, 0, 2_500_000),
        ("closed/big", 1200, 300, 3000 + 3000),
        ("closed/small", 1, 0, 0),  # 0.15 micros
        ("closed/small", 0, 1, 1),  # 0.6 micros
        ("closed/small", 2, 2, 2),  # 0.3 + 1.2 = 1.5, rounded once
        ("closed/unlisted", 1_000_000, 0, 0),
    ],
)
def test_closed_models_cost_their_list_price(
    pricing: Pricing, model: str, prompt_tokens: int, completion_tokens: int, money: int
) -> None:
    assert pricing.charge(model, prompt_tokens, completion_tokens, 999_999_999) == money
    assert pricing.forecast(model, prompt_tokens, completion_tokens) == money


def test_a_forecast_begins_at_the_list_price_of_what_is_replaced(pricing: Pricing) -> None:
    assert pricing.forecast("plain", 1200, 300) == 6000
    assert pricing.forecast("pair", 1200, 300) == 0, "nothing is known of it"
    assert pricing.forecast("uncosted", 1200, 300) == 0, "it will be charged nothing either"


def test_a_forecast_learns_what_tokens_have_cost(pricing: Pricing) -> None:
    pricing.charge("plain", 150, 50, 1_000_000)  # 1000 micros for 200 tokens
    assert pricing.forecast("plain", 10, 10) == 100
    pricing.charge("plain", 0, 0, 9_000_000)  # a failure without tokens teaches nothing
    assert pricing.forecast("plain", 10, 10) == 100
    for _ in range(600):
        pricing.charge("plain", 500, 500, 1_000_000)  # one micro a token, from now on
    assert pricing.forecast("plain", 1500, 500) == 2000


def test_a_forecast_weighs_requests_by_their_tokens(pricing: Pricing) -> None:
    pricing.charge("plain", 0, 1, 100_000)  # 100 micros a token
    pricing.charge("plain", 0, 999, 999_000)  # 1 micro a token
    # (0.98 * 100 + 999) / (0.98 * 1 + 999) micros a token
    assert pricing.forecast("plain", 0, 1_000_000) == 1_097_022


def test_comparisons_know_whether_there_is_a_cost(pricing: Pricing) -> None:
    assert {name: (each.closed_model, each.has_cost) for name, each in pricing.comparisons.items()} == {
        "plain": ("closed-4", True),
        "uncosted": ("closed-4", False),
    }
    assert pricing.currency == "USD"
