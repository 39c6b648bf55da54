"""Over-long examples are refused with their lines or split at turns; no token is lost in silence."""

from dataclasses import replace
from typing import Any

import pytest
from finetune.masking.conftest import ORIGIN, learnt, masker_of, talk
from finetune.masking.test_templates import CHATML

from freehold.core.dataset.examples import Origin, PlainText
from freehold.finetune.masking import Masker, OverLongError, mask_within
from freehold.finetune.masking.masker import MaskedExample


@pytest.fixture
def masker(tokenizer: Any) -> Masker:
    return masker_of(tokenizer, CHATML, "<|im_end|>")


def answers(tokenizer: Any, masked: MaskedExample) -> str:
    pairs = zip(masked.token_ids, masked.trained, strict=True)
    return str(tokenizer.decode([token for token, is_learnt in pairs if is_learnt]))


def test_all_that_are_too_long_are_named(masker: Masker) -> None:
    short = talk("Hi", "Hello")
    long = talk("Hi", "x " * 300)
    with pytest.raises(OverLongError) as caught:
        mask_within(masker, [short, long, replace(long, origin=Origin("b.jsonl", 2))], 100)
    lengths = len(masker.mask(long)[0])
    assert caught.value.over == ((ORIGIN, lengths), (Origin("b.jsonl", 2), lengths))
    assert f"b.jsonl:2: {lengths} tokens" in str(caught.value)
    assert "overLong: split" in caught.value.next_step


def test_what_fits_is_unchanged(masker: Masker) -> None:
    example = talk("Hi", "Hello")
    length = len(masker.mask(example)[0])
    assert mask_within(masker, [example], length).examples == tuple(masker.mask(example))
    with pytest.raises(OverLongError):
        mask_within(masker, [example], length - 1)


def test_a_chat_is_split_before_users_and_keeps_its_system_message(masker: Masker, tokenizer: Any) -> None:
    turns = [text for i in range(6) for text in (f"question {i}", f"answer {i}")]
    chat = talk(*turns, system="Be brief.")
    limit = len(masker.mask(chat)[0]) // 2
    fitted = mask_within(masker, [chat], limit, "split")
    assert all(len(masked) <= limit for masked in fitted.examples)
    assert len(fitted.examples) > 1
    assert [(split.origin, split.pieces) for split in fitted.split] == [(ORIGIN, len(fitted.examples))]
    whole = "".join(answers(tokenizer, masked) for masked in fitted.examples)
    assert whole == "".join(learnt(masker, chat)[0])
    assert all("Be brief." in tokenizer.decode(list(masked.token_ids)) for masked in fitted.examples)


def test_one_exchange_that_is_too_long_cannot_be_split(masker: Masker) -> None:
    with pytest.raises(OverLongError) as caught:
        mask_within(masker, [talk("Hi", "Hello", "More", "x " * 300)], 100, "split")
    assert [origin for origin, _ in caught.value.over] == [ORIGIN]
    assert "one turn alone" in caught.value.next_step


def test_plain_text_is_split_without_loss(masker: Masker, tokenizer: Any) -> None:
    example = PlainText(ORIGIN, "hello world " * 40)
    (whole,) = masker.mask(example)
    fitted = mask_within(masker, [example], 16, "split")
    assert sum((masked.token_ids for masked in fitted.examples), ()) == whole.token_ids
    assert all(len(masked) <= 16 and all(masked.trained) for masked in fitted.examples)
