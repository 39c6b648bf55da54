"""The numbers and limits of the gate, on answers that are written by hand."""

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest

from freehold.core.adapters.agreement import Agreement, agreement, effect
from freehold.core.adapters.reference import ParityPosition, ParityPrompt, ParityReference
from freehold.finetune.parity.compare import compare, limits_for
from freehold.finetune.parity.measure import ServedAnswer

PROMPT = ParityPrompt(
    name="facts.jsonl:1",
    messages=({"role": "user", "content": "hello"},),
    prompt_token_ids=(1, 2, 3),
    positions=(
        ParityPosition(token_id=7, tuned={7: -0.1, 8: -2.5}, base={7: -3.1, 8: -1.5}),
        ParityPosition(token_id=9, tuned={9: -0.7, 4: -0.71}, base={9: -1.7, 4: -2.0}),
    ),
)
REFERENCE = ParityReference(base="tiny-1", base_digest="0" * 64, chat_template_sha256=None, prompts=(PROMPT,))
HONEST = ServedAnswer(
    prompt_token_ids=(1, 2, 3),
    greedy=(7, 9),
    tuned=tuple(position.tuned for position in PROMPT.positions),
    base=tuple(position.base for position in PROMPT.positions),
)


def test_the_same_numbers_agree_to_the_last_digit() -> None:
    found = compare(REFERENCE, [HONEST])
    assert (found.tuned, found.base) == (Agreement(0.0, 0.0), Agreement(0.0, 0.0))
    assert found.effect.ratio == pytest.approx(1.0)
    assert found.effect.expected == pytest.approx((3.0 + 1.0) / 2)
    assert (found.renderings, found.greedy) == ((), ())


def test_an_adapter_that_is_passed_over_shows_no_effect() -> None:
    found = compare(REFERENCE, [replace(HONEST, tuned=HONEST.base or ())])
    assert found.effect.ratio == pytest.approx(0.0)
    assert found.effect.found == pytest.approx(0.0)
    assert found.base == Agreement(0.0, 0.0)
    # Weighted by the tuned model's own probabilities, position by position.
    first = math.exp(-0.1) * 3.0 + math.exp(-2.5) * 1.0
    second = math.exp(-0.7) * 1.0 + math.exp(-0.71) * 1.29
    assert found.tuned.mean == pytest.approx((first + second) / 2)
    assert found.tuned.worst == pytest.approx(first)


def test_half_of_the_effect_is_a_half() -> None:
    halfway: tuple[Mapping[int, float], ...] = tuple(
        {token: (position.tuned[token] + position.base[token]) / 2 for token in position.tuned}
        for position in PROMPT.positions
    )
    assert compare(REFERENCE, [replace(HONEST, tuned=halfway)]).effect.ratio == pytest.approx(0.5)


def test_a_merged_model_has_the_references_base_for_its_effect() -> None:
    found = compare(REFERENCE, [replace(HONEST, base=None)])
    assert found.base is None
    assert found.effect.ratio == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("rendered", "index", "expected", "found"),
    [((1, 5, 3), 1, 2, 5), ((1, 2), 2, 3, None), ((1, 2, 3, 4), 3, None, 4)],
)
def test_another_rendering_names_the_first_token(
    rendered: tuple[int, ...], index: int, expected: int | None, found: int | None
) -> None:
    (difference,) = compare(REFERENCE, [replace(HONEST, prompt_token_ids=rendered)]).renderings
    assert (difference.index, difference.expected, difference.found) == (index, expected, found)
    assert (difference.expected_count, difference.found_count) == (3, len(rendered))


def test_a_raw_prompt_has_no_rendering_to_differ() -> None:
    assert compare(REFERENCE, [replace(HONEST, prompt_token_ids=None)]).renderings == ()


@pytest.mark.parametrize(
    ("greedy", "is_beyond"),
    [((7, 4), False), ((8, 9), True), ((7, 5), False), ((7,), True), ((7, 9, 2), True)],
    ids=["a tie", "a sure token", "unlisted, near a tie", "too short", "too long"],
)
def test_only_a_near_tie_excuses_another_token(greedy: tuple[int, ...], is_beyond: bool) -> None:
    found = compare(REFERENCE, [replace(HONEST, greedy=greedy)])
    limits = limits_for(REFERENCE, found.base, quantized_online=False)
    assert len(found.greedy) == 1
    assert (len(found.beyond_ties(limits)) == 1) is is_beyond


def test_an_adapter_is_allowed_what_the_arithmetic_of_its_base_shows() -> None:
    exact = limits_for(REFERENCE, Agreement(0.00001, 0.0), quantized_online=False)
    rounded = limits_for(REFERENCE, Agreement(0.01, 0.1), quantized_online=False)
    far = limits_for(REFERENCE, Agreement(5.0, 9.0), quantized_online=False)
    assert exact.tuned_mean < rounded.tuned_mean < far.tuned_mean == far.base_mean
    quantized = limits_for(REFERENCE, Agreement(0.3, 1.0), quantized_online=True)
    trained_quantized = REFERENCE.model_copy(update={"base_quantization": "nf4"})
    assert quantized.base_mean > rounded.base_mean
    assert limits_for(trained_quantized, None, quantized_online=False).base_mean == quantized.base_mean


def test_nan_is_never_finite_whatever_its_place() -> None:
    for place in (0, 1):
        tuned = list(HONEST.tuned)
        tuned[place] = {**tuned[place], PROMPT.positions[place].token_id: math.nan}
        found = compare(REFERENCE, [replace(HONEST, tuned=tuple(tuned))])
        assert not found.is_finite
        assert math.isnan(found.tuned.worst)


def test_a_token_that_the_engine_does_not_list_is_at_most_as_likely_as_its_last() -> None:
    listed = {7: -0.1, 5: -2.0}
    assert agreement([{7: -0.1, 8: -2.5}], [listed]).mean == 0.0, "-2.5 is below the last that is listed"
    found = agreement([{7: -0.1, 8: -1.0}], [listed]).mean
    assert found == pytest.approx(math.exp(-1.0) * 1.0), "-1 would have been listed"


def test_no_expected_effect_has_no_ratio() -> None:
    still = ParityPosition(token_id=1, tuned={1: -0.5}, base={1: -0.5})
    assert math.isnan(effect([still], [{1: -0.5}], [{1: -0.5}]).ratio)


def test_a_position_must_speak_of_its_own_token() -> None:
    with pytest.raises(ValueError, match="same tokens"):
        ParityPosition(token_id=1, tuned={2: -0.5}, base={2: -0.5})
    with pytest.raises(ValueError, match="same tokens"):
        ParityPosition(token_id=1, tuned={1: -0.5}, base={1: -0.5, 2: -1.0})
