"""The most that a request can use, whatever numbers it names."""

from typing import Any

import pytest
from fixtures.stub_engine import Call, StubEngine

from freehold.serve.config import DeploymentConfig
from freehold.serve.gateway.admission import UNBOUNDED_OUTPUT, most_tokens
from freehold.serve.gateway.endpoints import ENDPOINTS
from freehold.serve.gateway.ledger import Pricing
from freehold.serve.gateway.request import RelayedRequest

COMPLETIONS = ENDPOINTS["/v1/completions"]


async def _answer_nothing(call: Call) -> None: ...


def most(fields: dict[str, Any], context: int | None = None) -> int:
    """For a prompt of 10 tokens."""
    engine = StubEngine("tiny", _answer_nothing)
    engine.context_tokens = context
    return most_tokens(RelayedRequest(COMPLETIONS, b"", "tiny", fields), engine, 10)


@pytest.mark.parametrize(
    ("fields", "context", "tokens"),
    [
        ({"max_tokens": 5}, None, 15),
        ({"max_tokens": 5, "n": 3}, None, 25),
        ({"max_tokens": 5, "prompt": ["a", "b"]}, None, 20),
        ({"max_tokens": 5, "prompt": [1, 2]}, None, 15),
        ({"max_tokens": True}, None, 10 + UNBOUNDED_OUTPUT),
        ({"max_tokens": 5000}, 2048, 2048),
        ({"max_tokens": 10**4000, "n": 10**4000}, 2048, None),
        ({"max_tokens": 10**4000, "n": 10**4000}, None, None),
    ],
)
def test_what_a_request_can_use_is_a_number_to_reckon_with(
    fields: dict[str, Any], context: int | None, tokens: int | None
) -> None:
    model = {"engine": {"kind": "remote", "baseUrl": "http://x"}, "cost": {"gpuHour": 2.5}}
    pricing = Pricing(DeploymentConfig.model_validate({"models": {"tiny": model}}))
    pricing.charge("tiny", 10, 10, 1_000_000)  # from now on it forecasts by what it has seen
    found = most(fields, context)
    assert found == tokens or tokens is None
    assert pricing.forecast("tiny", 10, found - 10) > 0
    assert str(found), "Python writes no integer of more than 4300 digits"
