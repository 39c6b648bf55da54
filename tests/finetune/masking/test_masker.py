"""What holds for every conversation: each answer is learnt once, exactly, after the engine's own prompt tokens."""

import os
from pathlib import Path
from typing import Any

import pytest
from finetune.masking.conftest import ORIGIN, learnt, make_tokenizer, masker_of, real_template, talk
from finetune.masking.test_templates import CHATML
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from freehold.core.dataset.examples import Conversation, PlainText
from freehold.core.store import Store
from freehold.finetune.masking import Masker, TemplateError, load_masker, stop_token_ids

# No stop token inside, and no white space around: some templates trim.
CONTENT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30).map(
    lambda text: f"a{text}z"
)
TEMPLATES = [
    (CHATML, "<|im_end|>"),
    *((real_template(n), s) for n, s in (("llama3", "<|eot_id|>"), ("qwen3", "<|im_end|>"))),
]


@settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "60")),
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    contents=st.lists(CONTENT, min_size=2, max_size=6).filter(lambda found: len(found) % 2 == 0),
    weights=st.lists(st.sampled_from([0, 1, None]), min_size=3, max_size=3).filter(lambda found: found[0] != 0),
    chosen=st.sampled_from(TEMPLATES),
)
def test_learnt_tokens_are_the_answers_and_their_ends(
    contents: list[str], weights: list[int | None], chosen: tuple[str, str], tokenizer: Any
) -> None:
    template, stop = chosen
    masker = masker_of(tokenizer, template, stop, enable_thinking=False)
    messages = [
        m if m["role"] == "user" or weights[i // 2] is None else m | {"weight": weights[i // 2]}
        for i, m in enumerate(talk(*contents).messages)
    ]
    masked = masker.mask(Conversation(ORIGIN, tuple(messages)))
    expected = [m["content"] + stop for m in messages if m["role"] == "assistant" and m.get("weight") != 0]
    found = [
        tokenizer.decode([t for t, is_learnt in zip(one.token_ids, one.trained, strict=True) if is_learnt])
        for one in masked
    ]
    assert "".join(found) == "".join(expected)
    assert all(one.trained[-1] and len(one.trained) == len(one) for one in masked)


def test_white_space_at_the_border_keeps_the_prompt_as_the_engine_has_it() -> None:
    """A token of several newlines would reach from the prompt into the answer."""
    tokenizer = make_tokenizer(("assistant\n\n\n\n x", "\n\n\n\n"), eos_token="</s>")
    template = (
        "{% for m in messages %}{{ m.role }}\n{{ m.content }}{% if m.role == 'assistant' %}</s>{% endif %}{% endfor %}"
    )
    template += "{% if add_generation_prompt %}assistant\n{% endif %}"
    masker = Masker(tokenizer, chat_template=template)
    chat = talk("Hi", "\n\n\n  x", "So", "y")
    whole = tokenizer("assistant\n" + "\n\n\n  x", add_special_tokens=False)["input_ids"]
    alone = tokenizer("assistant\n", add_special_tokens=False)["input_ids"]
    assert whole[: len(alone)] != alone, "the tokenizer must join them, or this tests nothing"
    assert learnt(masker, chat) == [["\n\n\n  x</s>"], ["y</s>"]]
    for masked, end in zip(masker.mask(chat), (1, 3), strict=True):
        assert list(masked.token_ids[: masked.trained.index(True)]) == masker.prompt_ids(chat.messages[:end])


def test_plain_text_is_learnt_whole_with_its_end(tokenizer: Any) -> None:
    (masked,) = Masker(tokenizer).mask(PlainText(ORIGIN, "hello world"))
    assert tokenizer.decode(list(masked.token_ids)) == "hello world</s>"
    assert all(masked.trained)
    with pytest.raises(TemplateError, match="no end token"):
        Masker(make_tokenizer()).mask(PlainText(ORIGIN, "hello"))


def test_a_token_that_begins_every_text_is_not_learnt() -> None:
    from tokenizers.processors import TemplateProcessing

    tokenizer = make_tokenizer(bos_token="<s>", eos_token="</s>")
    begin = [("<s>", tokenizer.bos_token_id)]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=begin)
    (masked,) = Masker(tokenizer).mask(PlainText(ORIGIN, "hello"))
    assert masked.token_ids[0] == tokenizer.bos_token_id
    assert masked.trained == (False, *(True for _ in masked.token_ids[1:]))


def test_the_engine_stops_where_the_generation_config_says(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"eos_token_id": 3}')
    assert stop_token_ids(tmp_path) == (3,)
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [1, 2]}')
    assert stop_token_ids(tmp_path) == (1, 2)


@pytest.mark.slow
def test_the_default_model(pulled_home: Path) -> None:
    artifact = Store(pulled_home / "store").get("smollm2-135m-instruct")
    masker = load_masker(artifact.path)
    chat = talk("Hi", "Hello, ünï 🙂", "What?", "\n  Bye.")
    assert learnt(masker, chat) == [["Hello, ünï 🙂<|im_end|>", "\n  Bye.<|im_end|>"]]
