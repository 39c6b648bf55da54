"""Each of the statistics against numbers that others have published or that can be counted by hand."""

import itertools

import numpy as np
import pytest

from freehold.evaluate.results import Answered, Score, Usage
from freehold.evaluate.statistics.correction import holm
from freehold.evaluate.statistics.efficiency import efficiency
from freehold.evaluate.statistics.pairs import pair
from freehold.evaluate.statistics.power import prompts_needed, visible_difference
from freehold.evaluate.statistics.significance import p_value

RNG = np.random.default_rng(0)


def test_mcnemar_s_exact_test_is_the_binomial_one() -> None:
    # 2 won, 10 lost: twice the probability of at most 2 heads in 12 tosses, (1 + 12 + 66) / 4096.
    differences = np.array([1.0] * 2 + [-1.0] * 10 + [0.0] * 88)
    assert p_value(differences, RNG) == pytest.approx(2 * 79 / 4096)


def test_graded_scores_are_flipped() -> None:
    differences = np.array([0.5, 0.4, 0.3, 0.2, 0.1, -0.05])
    total = differences.sum() - 1e-9
    flips = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True))) >= total
        for signs in itertools.product((1, -1), repeat=6)
    ]
    assert p_value(differences, RNG) == pytest.approx(sum(flips) / 64, abs=0.01)


def test_no_difference_is_no_evidence() -> None:
    assert p_value(np.zeros(20), RNG) == 1.0
    assert p_value(np.array([]), RNG) == 1.0


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_what_can_be_seen() -> None:
    assert visible_difference(200, 0.125) == pytest.approx(0.07, abs=0.002)
    assert visible_difference(0) == 1.0
    assert visible_difference(400) < visible_difference(100)


@pytest.mark.parametrize("difference", [0.02, 0.05, 0.2])
def test_prompts_needed_is_the_inverse(difference: float) -> None:
    needed = prompts_needed(difference)
    assert visible_difference(needed) <= difference < visible_difference(needed - 1)


def test_a_difference_of_that_size_is_found_as_often_as_said() -> None:
    prompts, disagreement = 200, 0.2
    seen = visible_difference(prompts, disagreement)
    shares = [(disagreement - seen) / 2, 1 - disagreement, (disagreement + seen) / 2]
    rng = np.random.default_rng(1)
    found = sum(p_value(rng.choice([-1.0, 0.0, 1.0], prompts, p=shares), rng) < 0.05 for _ in range(500))
    assert 0.7 < found / 500 < 0.87  # 0.8 by the approximation; the exact test asks for a little more


def _answer(prompt: str, target: str, value: float, **more: object) -> Answered:
    fields = {
        "suite": "s",
        "prompt": prompt,
        "target": target,
        "outcome": "answered",
        "scores": {"exact": Score(value=value)},
    }
    return Answered.model_validate(fields | more)


def test_samples_of_a_prompt_are_one_observation_and_what_one_side_lacks_is_left_out() -> None:
    answers = [
        _answer("p1", "a", 1.0),
        _answer("p1", "b", 1.0),
        _answer("p1", "b", 0.0, sample=1),
        _answer("p2", "a", 1.0),
        _answer("p2", "b", 0.0, outcome="skipped"),
        _answer("p3", "a", 0.0),
        _answer("p3", "b", 1.0, outcome="failed"),
    ]
    pairs = pair(answers, "a", "b")
    assert pairs.prompts == ("p1", "p3")
    assert pairs.differences.tolist() == [-0.5, 0.0]


def test_efficiency_counts_what_wrong_answers_cost_as_well() -> None:
    used = Usage(prompt=10, completion=30)
    answers = [
        _answer("p1", "a", 1.0, usage=used, cost=0.02, latency_s=1.0),
        _answer("p2", "a", 0.0, usage=used, cost=0.02, latency_s=3.0),
        _answer("p3", "a", 0.0, outcome="failed"),
        _answer("p1", "b", 1.0),
    ]
    found = efficiency(answers, "a")
    assert (found.answers, found.solved, found.failed) == (3, 1, 1)
    assert found.tokens_per_solved == 60
    assert found.cost_per_solved == pytest.approx(0.04)
    assert found.cost_per_1000 == pytest.approx(20.0)
    assert found.latency_p50_s == 2.0
    assert efficiency(answers, "b").cost_per_solved is None
