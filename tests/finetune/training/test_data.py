"""What a run holds out of its data."""

import pytest

from freehold.core.dataset.examples import Conversation, Example, Origin
from freehold.finetune.training.data import hold_out


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
