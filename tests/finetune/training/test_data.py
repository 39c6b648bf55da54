"""What a run learns from, and what it holds out."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from freehold.core.dataset.examples import Conversation, Example, Origin
from freehold.core.settings import Settings
from freehold.core.store import Artifact
from freehold.finetune.masking.loading import load_masker
from freehold.finetune.recipe import Recipe
from freehold.finetune.training.data import hold_out, read_run_data
from freehold.finetune.training.objectives import objective_named


def _asked(*questions: str) -> tuple[Conversation, ...]:
    """Each with an answer of its own."""
    return tuple(
        Conversation(
            Origin("a.jsonl", line),
            ({"role": "user", "content": question}, {"role": "assistant", "content": f"Answer {line}"}),
        )
        for line, question in enumerate(questions, 1)
    )


def _questions(examples: tuple[Example, ...]) -> set[str]:
    return {example.messages[0]["content"].strip("?!") for example in examples if isinstance(example, Conversation)}


@pytest.mark.parametrize("seed", range(5))
def test_what_asks_the_same_is_not_torn_apart(seed: int) -> None:
    examples = _asked(*[f"Question {number}" + mark for number in range(10) for mark in ("?", "!", "??")])
    learnt, held_out = hold_out(examples, 0.2, seed)
    assert len(held_out) == 6
    assert len(learnt) == 24
    assert not _questions(learnt) & _questions(held_out)


def test_something_stays_to_learn() -> None:
    assert hold_out(_asked("One?"), 0.5, 0) == (_asked("One?"), ())
    assert len(hold_out(_asked("One?", "Two?"), 0.5, 0)[0]) == 1


def test_the_draw_is_the_seeds() -> None:
    examples = _asked(*map(str, range(50)))
    assert hold_out(examples, 0.2, 1) == hold_out(examples, 0.2, 1)
    assert hold_out(examples, 0.2, 1) != hold_out(examples, 0.2, 2)


def test_replayed_text_is_learnt_whole_and_never_held_out(base: Artifact, facts_file: Path, settings: Settings) -> None:
    recipe = {"model": base.id, "data": {"train": [str(facts_file)], "evalFraction": 0.2}}
    replaying = recipe | {"data": {**recipe["data"], "replay": ["neutral"]}}  # type: ignore[dict-item]
    sft, masker = objective_named("sft"), load_masker(base.path)
    without, with_it = (
        read_run_data(Recipe.model_validate(each).model_copy(), base, sft, masker, settings)
        for each in (recipe, replaying)
    )
    assert len(with_it.train) == len(without.train) + 30
    assert with_it.held_out == without.held_out
    trained = with_it.train.columns["trained"]
    assert all(trained[row].all() for row in range(len(without.train), len(with_it.train)))
    assert with_it.digests.keys() == {"train", "replay"}


def test_only_answers_can_be_mixed_with_replayed_text() -> None:
    data = {"train": ["a.jsonl"], "replay": ["neutral"]}
    with pytest.raises(ValidationError, match=r"data\.replay is for `sft`"):
        Recipe.model_validate({"model": "m", "data": data, "training": {"objective": "dpo"}})
