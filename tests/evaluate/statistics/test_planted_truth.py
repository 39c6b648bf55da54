"""Where the truth is known, the statistics find it, and nothing else more often than they say."""

import dataclasses

import numpy as np
import pytest
from evaluate.statistics.worlds import world

from freehold.evaluate.statistics import comparison as comparison_module
from freehold.evaluate.statistics.comparison import Comparison, compare
from freehold.evaluate.statistics.interval import mean_interval
from freehold.evaluate.verdict import Decision, judge

pytestmark = pytest.mark.slow

SEEDS = 200
ALPHA = 0.05
SAMPLING_ERROR = 2 * (ALPHA * (1 - ALPHA) / SEEDS) ** 0.5
PLANTED = {"b": -0.35, "e": 0.25}


@pytest.fixture(autouse=True)
def _fewer_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of comparisons, of which each draws a tenth: the tests' own noise is far above what that adds."""
    monkeypatch.setattr("freehold.evaluate.statistics.interval.RESAMPLES", 1_000)
    monkeypatch.setattr("freehold.evaluate.statistics.significance.FLIPS", 2_000)


def _comparisons(planted: dict[str, float], *, graded: bool = False) -> list[Comparison]:
    return [compare(world(seed, planted, graded=graded), "closed", "open", seed=seed) for seed in range(SEEDS)]


def _false_alarms(comparisons: list[Comparison], planted: dict[str, float]) -> float:
    """Share of runs that flag a slice that does not differ, or one that differs the other way."""
    wrong = 0
    for one in comparisons:
        worse = {each.value for each in one.worse} - {kind for kind, delta in planted.items() if delta < 0}
        better = {each.value for each in one.better} - {kind for kind, delta in planted.items() if delta > 0}
        wrong += bool(worse or better)
    return wrong / len(comparisons)


@pytest.mark.parametrize("graded", [False, True])
def test_exactly_what_was_planted_is_flagged(graded: bool) -> None:
    comparisons = _comparisons(PLANTED, graded=graded)
    assert sum("b" in {each.value for each in one.worse} for one in comparisons) >= 0.9 * SEEDS
    assert sum("e" in {each.value for each in one.better} for one in comparisons) >= 0.9 * SEEDS
    assert _false_alarms(comparisons, PLANTED) <= ALPHA + SAMPLING_ERROR


@pytest.mark.parametrize("graded", [False, True])
def test_nothing_is_flagged_where_nothing_differs(graded: bool) -> None:
    assert _false_alarms(_comparisons({}, graded=graded), {}) <= ALPHA + SAMPLING_ERROR


def test_without_the_correction_this_test_would_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison_module, "holm", list)
    assert _false_alarms(_comparisons({}), {}) > ALPHA + SAMPLING_ERROR


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    for prompts in (10, 60):
        held = 0
        for seed in range(400):
            differences = np.random.default_rng(seed).choice([-1.0, 0.0, 1.0], prompts, p=[0.15, 0.7, 0.15])
            low, high = mean_interval(differences, 0.95, np.random.default_rng(seed))
            held += low <= 0 <= high
        assert held / 400 >= 0.95 - 2 * (0.95 * 0.05 / 400) ** 0.5


def test_a_few_prompts_that_came_out_alike_prove_nothing() -> None:
    low, high = mean_interval(np.zeros(5), 0.95, np.random.default_rng(0))
    assert low < -0.2
    assert high > 0.2


def test_a_slice_s_numbers_do_not_depend_on_what_stands_beside_it() -> None:
    pairs = world(3)
    alone = compare(pairs, "closed", "open", seed=1)
    tagged = tuple({**one, "length": "short"} for one in pairs.slices)  # a dimension with one value is none
    assert compare(dataclasses.replace(pairs, slices=tagged), "closed", "open", seed=1) == alone
    assert compare(pairs, "closed", "open", seed=2) != alone


def test_a_regression_in_one_slice_leaves_the_others_to_replace() -> None:
    judgement = judge(compare(world(0, {"b": -0.5}, prompts=600), "closed", "open"), margin=0.12)
    assert judgement.decision is Decision.REPLACE_SLICES
    assert set(judgement.slices) == {f"kind={kind}" for kind in "acdefgh"}
    assert any(reason.startswith("kind=b: worse") for reason in judgement.reasons)


def test_what_is_as_good_replaces_and_says_what_it_could_not_see() -> None:
    judgement = judge(compare(world(0, prompts=400), "closed", "open"), margin=0.05)
    assert judgement.decision is Decision.REPLACE
    assert "too few prompts" in judgement.reasons[1]


def test_too_few_prompts_are_no_evidence_that_it_is_as_good() -> None:
    judgement = judge(compare(world(0, prompts=4), "closed", "open"))
    assert judgement.decision is Decision.HOLD
    assert "not shown to be as good" in judgement.reasons[0]
    assert "prompts would show" in judgement.reasons[0]


def test_what_is_worse_everywhere_is_held() -> None:
    judgement = judge(compare(world(0, dict.fromkeys("abcdefgh", -0.4)), "closed", "open"))
    assert judgement.decision is Decision.HOLD
    assert judgement.reasons[0].startswith("kind=")
