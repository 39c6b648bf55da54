"""The comparison behind the golden probe; the spread itself is measured by `python -m bench.probe`."""

import math

import pytest

from freehold.core.probe.compare import QUANTIZED_LIMIT, SAME_WEIGHTS_LIMIT, EngineAnswer, compare
from freehold.core.store import ProbeReference
from freehold.core.store.lineage import PromptProbe, TokenProbe

TOP = {7: math.log(0.7), 8: math.log(0.2), 9: math.log(0.1)}
REFERENCE = ProbeReference(
    status="computed",
    prompts=(
        PromptProbe(
            name="capital",
            messages=({"role": "user", "content": "?"},),
            prompt_token_ids=(1, 2, 3),
            positions=(TokenProbe(token_id=7, top=TOP), TokenProbe(token_id=7, top=TOP)),
        ),
    ),
)


def _answer(shift: float = 0.0, template: tuple[int, ...] = (1, 2, 3)) -> EngineAnswer:
    given = {token: logprob - shift for token, logprob in TOP.items()}
    return EngineAnswer(template, (given, given))


def test_equal_answers_pass_with_zero_divergence() -> None:
    verdict = compare(REFERENCE, [_answer()], quantized_online=False)
    assert verdict.passed
    assert verdict.divergence == pytest.approx(0)
    assert verdict.top1_agreement == 1


@pytest.mark.parametrize(("quantized", "limit"), [(False, SAME_WEIGHTS_LIMIT), (True, QUANTIZED_LIMIT)])
def test_the_limit_is_the_mean_weighted_difference(quantized: bool, limit: float) -> None:
    # Every token is off by the same amount, so the weighted mean is that amount: the weights add up to one.
    assert compare(REFERENCE, [_answer(limit * 0.99)], quantized_online=quantized).passed
    refused = compare(REFERENCE, [_answer(limit * 1.01)], quantized_online=quantized)
    assert not refused.passed
    assert refused.divergence == pytest.approx(limit * 1.01)
    assert f"limit {limit:.2f}" in refused.problems[0]


def test_another_rendering_of_the_chat_is_refused_whatever_the_numbers() -> None:
    verdict = compare(REFERENCE, [_answer(template=(1, 5, 3, 4))], quantized_online=False)
    assert verdict.problems == (
        "its chat template renders the prompt 'capital' to 4 tokens instead of 3, first difference at token 1",
    )


def test_a_token_that_the_engine_does_not_list_counts_as_its_least_likely() -> None:
    listed = {7: math.log(0.7), 1: math.log(0.25), 2: math.log(0.001)}
    verdict = compare(REFERENCE, [EngineAnswer((1, 2, 3), (listed, listed))], quantized_online=False)
    expected = 0.2 * (math.log(0.2) - math.log(0.001)) + 0.1 * (math.log(0.1) - math.log(0.001))
    assert verdict.divergence == pytest.approx(expected)


def test_not_a_number_is_no_pass() -> None:
    broken = dict.fromkeys(TOP, math.nan)
    assert not compare(REFERENCE, [EngineAnswer((1, 2, 3), (broken, broken))], quantized_online=True).passed
