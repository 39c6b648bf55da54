"""Tokens and money of requests."""

import random

import pytest

from freehold.evaluate.results.record import Usage
from freehold.evaluate.targets.amounts import Amount, at_most, cost, prompt_tokens, used
from freehold.evaluate.targets.attempt import Again
from freehold.evaluate.targets.endpoint import Endpoint, Prices
from freehold.evaluate.targets.retries import delay_s

PRICES = Prices(input=2.0, output=10.0)


def test_cost_by_list_price() -> None:
    usage = Usage(prompt=1_000, completion=100, cached=400)
    assert cost(usage, PRICES) == pytest.approx((1_000 * 2 + 100 * 10) / 1e6)
    cheap = PRICES.model_copy(update={"cached": 0.5})
    assert cost(usage, cheap) == pytest.approx((600 * 2 + 400 * 0.5 + 100 * 10) / 1e6)
    assert cost(usage, None) is None
    assert used(usage, None) == Amount(1_100, 0.0)


def test_an_estimate_counts_prompt_and_longest_answer() -> None:
    body = {"messages": [{"role": "user", "content": "word " * 100}], "max_tokens": 50}
    amount = at_most(body, PRICES)
    prompt = amount.tokens - 50
    assert 100 < prompt < 500, "more than the words, less than the bytes"
    assert amount.money == pytest.approx((prompt * 2 + 50 * 10) / 1e6)
    assert at_most(body | {"max_completion_tokens": 80}, None).tokens == prompt + 80


def test_a_picture_counts_by_itself_and_not_by_its_bytes() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 1_000_000}}
    assert prompt_tokens({"messages": [{"role": "user", "content": [picture]}]}) < 3_000


def test_tools_count() -> None:
    messages = [{"role": "user", "content": "x"}]
    tools = [{"type": "function", "function": {"name": "f", "description": "d" * 1000}}]
    assert prompt_tokens({"messages": messages, "tools": tools}) > prompt_tokens({"messages": messages}) + 400


def test_waits_double_up_to_a_limit_and_keep_to_what_was_asked_for() -> None:
    endpoint = Endpoint(base_url="http://127.0.0.1", model="m", backoff_s=1, backoff_limit_s=8)
    random.seed(0)
    for retry, doubled in enumerate([1, 2, 4, 8, 8, 8]):
        waits = [delay_s(endpoint, retry, Again("", False)) for _ in range(100)]
        assert doubled / 2 <= min(waits) < max(waits) <= doubled
    assert delay_s(endpoint, 0, Again("", False, after_s=30)) == 30
    assert delay_s(endpoint, 0, Again("", False, after_s=86_400)) == 80, "ten times the longest wait"
    assert delay_s(endpoint, 3, Again("", False, after_s=0.1)) >= 4
