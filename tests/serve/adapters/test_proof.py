"""What an engine says with an adapter and without, against the trainer's own model."""

import math

import pytest
from fixtures.adapters import add_base, make_reference

from freehold.core.adapters.reference import ParityPosition, ParityPrompt
from freehold.core.store import Store
from freehold.serve.adapters.proof import Proof, judge


@pytest.fixture
def prompts(store: Store) -> tuple[ParityPrompt, ...]:
    return make_reference(add_base(store), share=0.8).prompts[:4]


def _judged(prompts: tuple[ParityPrompt, ...], share: float, noise: float = 0.0, *, is_coarse: bool = False) -> Proof:
    """The verdict on an engine that shows this share of the adapter's effect, a little off in turn up and down."""

    def said(position: ParityPosition, index: int) -> dict[int, float]:
        off = noise if index % 2 else -noise
        return {
            token: position.base[token] + share * (value - position.base[token]) + off
            for token, value in position.tuned.items()
        }

    positions = [position for prompt in prompts for position in prompt.positions]
    tuned = [said(position, index) for index, position in enumerate(positions)]
    plain = [{token: value + noise / 3 for token, value in position.base.items()} for position in positions]
    return judge(prompts, tuned, plain, is_coarse=is_coarse)


def test_an_engine_that_answers_like_the_trainer_passes_with_its_rounding(prompts: tuple[ParityPrompt, ...]) -> None:
    assert _judged(prompts, 1.0).problems == ()
    assert _judged(prompts, 1.0, noise=0.01).problems == ()


@pytest.mark.parametrize(
    ("share", "cause"),
    [
        (0.0, "it changes nothing: its tensors match no module of the model (0% of a change of"),
        (0.5, "only a part of the adapter acts"),
        (2.0, "acts more strongly than it was trained"),
    ],
)
def test_an_effect_that_is_not_the_trained_one_is_named(
    prompts: tuple[ParityPrompt, ...], share: float, cause: str
) -> None:
    proof = _judged(prompts, share)
    assert cause in proof.problems[0]
    assert "nats from the trainer's" in proof.problems[1]


def test_other_numbers_with_the_right_effect_are_refused(prompts: tuple[ParityPrompt, ...]) -> None:
    assert "nats from the trainer's, limit 0.06" in _judged(prompts, 1.0, noise=0.2).problems[0]


def test_what_the_engine_quantizes_itself_may_be_further_away(prompts: tuple[ParityPrompt, ...]) -> None:
    assert _judged(prompts, 1.0, noise=0.2, is_coarse=True).problems == ()
    assert "changes nothing" in _judged(prompts, 0.0, noise=0.2, is_coarse=True).problems[0]


def test_numbers_that_are_none_are_refused(prompts: tuple[ParityPrompt, ...]) -> None:
    assert _judged(prompts, math.nan).problems


def test_an_adapter_that_hardly_changes_anything_is_not_asked_for_its_effect(store: Store) -> None:
    position = ParityPosition(
        token_id=7, tuned={7: math.log(0.505), 8: math.log(0.495)}, base={7: math.log(0.5), 8: math.log(0.5)}
    )
    prompt = make_reference(add_base(store)).prompts[0].model_copy(update={"positions": (position,)})
    assert _judged((prompt,), 0.0).problems == ()
