"""Masks under real chat templates: exactly the assistant's words and their end of turn, or a refusal that says why."""

from typing import Any

import pytest
from finetune.masking.conftest import ORIGIN, learnt, masker_of, real_template, talk

from freehold.core.dataset.examples import Conversation, Judged, Preference
from freehold.finetune.masking import TemplateError

CHAT = talk("Hi", "Hello you", "What?", "Bye.")
THOUGHT = "<think>\n\n</think>\n\n"

# The template's name, its engine's stop token, and what is learnt of each example that it makes of one chat.
WHOLE = ["{0}Hello you{1}", "{0}Bye.{1}"]
TEMPLATES = {
    "qwen2_5": ("<|im_end|>", "", True),
    "qwen3_instruct_2507": ("<|im_end|>", "", True),
    "lfm2": ("<|im_end|>", "", True),
    "llama3": ("<|eot_id|>", "", True),
    "llama3_1": ("<|eot_id|>", "", True),
    "llama3_2": ("<|eot_id|>", "", True),
    "gemma": ("<end_of_turn>", "", True),
    "gemma3": ("<end_of_turn>", "", True),
    "phi3": ("<|end|>", "", True),
    "cohere": ("<|END_OF_TURN_TOKEN|>", "", True),
    "llava_next": ("</s>", " ", True),
    "idefics3": ("<end_of_utterance>", " ", True),
    # These drop the thoughts of earlier turns, so that each turn is learnt after the prompt that it would get.
    "qwen3": ("<|im_end|>", THOUGHT, False),
    "qwen3_5_nothink": ("<|im_end|>", "", False),
    "gptoss": ("<|return|>", "<|channel|>final<|message|>", False),
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_answer_and_its_end_are_learnt(name: str, tokenizer: Any) -> None:
    stop, before, is_one = TEMPLATES[name]
    masker = masker_of(tokenizer, real_template(name), stop)
    pieces = [text.format(before, stop) for text in WHOLE]
    assert learnt(masker, CHAT) == ([pieces] if is_one else [[piece] for piece in pieces])


@pytest.mark.parametrize("name", TEMPLATES)
def test_each_learnt_turn_follows_what_the_engine_would_be_given(name: str, tokenizer: Any) -> None:
    stop, *_ = TEMPLATES[name]
    masker = masker_of(tokenizer, real_template(name), stop)
    starts = {
        masked.token_ids[:i]
        for masked in masker.mask(CHAT)
        for i in range(1, len(masked))
        if masked.trained[i] and not masked.trained[i - 1]
    }
    assert starts == {tuple(masker.prompt_ids(CHAT.messages[:end])) for end in (1, 3)}


def test_the_prompt_is_what_transformers_renders(tokenizer: Any) -> None:
    template = real_template("qwen2_5")
    masker = masker_of(tokenizer, template, "<|im_end|>")
    rendered = tokenizer.apply_chat_template(
        list(CHAT.messages[:3]), chat_template=template, add_generation_prompt=True, tokenize=True, return_dict=False
    )
    assert masker.prompt_ids(CHAT.messages[:3]) == list(rendered)


@pytest.mark.parametrize(
    ("name", "stop", "said"),
    [
        ("deepseek_r1_distill", "<｜end▁of▁sentence｜>", "the prompt goes on with '<think>"),
        ("nemotron_3_nano", "<|im_end|>", "cannot tell the answer from its prompt"),
        ("glm4moe", "<|user|>", "no token at which the engine stops"),
        ("llama3", "</s>", "it ends with 'Hello you<|eot_id|>', and the engine stops at </s>"),
    ],
)
def test_a_real_template_that_cannot_tell_is_refused(name: str, stop: str, said: str, tokenizer: Any) -> None:
    with pytest.raises(TemplateError) as caught:
        masker_of(tokenizer, real_template(name), stop).mask(CHAT)
    assert said in str(caught.value)
    assert str(caught.value).startswith("train.jsonl:7: ")
    assert caught.value.next_step


def test_a_template_argument_takes_the_empty_thoughts_out_of_what_is_learnt(tokenizer: Any) -> None:
    masker = masker_of(tokenizer, real_template("qwen3"), "<|im_end|>", enable_thinking=False)
    assert learnt(masker, CHAT) == [["Hello you<|im_end|>"], ["Bye.<|im_end|>"]]


def test_reasoning_is_learnt_in_each_turn_although_the_template_drops_it_later(tokenizer: Any) -> None:
    thoughtful = Conversation(
        ORIGIN,
        tuple(m | {"reasoning_content": "Hm."} if m["role"] == "assistant" else m for m in CHAT.messages),
    )
    masker = masker_of(tokenizer, real_template("qwen3"), "<|im_end|>")
    thought = "<think>\nHm.\n</think>\n\n"
    assert learnt(masker, thoughtful) == [[f"{thought}Hello you<|im_end|>"], [f"{thought}Bye.<|im_end|>"]]


def test_weight_0_is_not_learnt(tokenizer: Any) -> None:
    masker = masker_of(tokenizer, real_template("qwen2_5"), "<|im_end|>")
    first, answer, second, last = CHAT.messages
    quiet = Conversation(ORIGIN, (first, answer | {"weight": 0}, second, last | {"weight": 1}))
    assert learnt(masker, quiet) == [["Bye.<|im_end|>"]]
    trailing = Conversation(ORIGIN, (first, answer, second, last | {"weight": 0}))
    (masked,) = masker.mask(trailing)
    assert masked.trained[-1]


def test_a_system_message_is_seen_and_gemma_says_that_it_has_none(tokenizer: Any) -> None:
    chat = talk("Hi", "Hello", system="Be brief.")
    assert learnt(masker_of(tokenizer, real_template("llama3"), "<|eot_id|>"), chat) == [["Hello<|eot_id|>"]]
    with pytest.raises(TemplateError, match="System role not supported"):
        masker_of(tokenizer, real_template("gemma"), "<end_of_turn>").mask(chat)
    with pytest.raises(TemplateError, match="must alternate"):
        masker_of(tokenizer, real_template("gemma"), "<end_of_turn>").mask(
            Conversation(ORIGIN, (CHAT.messages[0], *CHAT.messages[:2]))
        )


TOOL = {"type": "function", "function": {"name": "get_time", "description": None, "parameters": {"type": "object"}}}
CALL = {"id": "call00001", "type": "function", "function": {"name": "get_time", "arguments": {"zone": "UTC"}}}
CALLING = Conversation(
    ORIGIN,
    (
        {"role": "user", "content": "What time is it?"},
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "content": '{"time": "12:00"}', "tool_call_id": "call00001"},
        {"role": "assistant", "content": "Noon."},
    ),
    (TOOL,),
)


@pytest.mark.parametrize(
    ("name", "stop", "call"),
    [
        (
            "qwen2_5",
            "<|im_end|>",
            '<tool_call>\n{"name": "get_time", "arguments": {"zone": "UTC"}}\n</tool_call><|im_end|>',
        ),
        ("llama3_1", "<|eot_id|>", '{"name": "get_time", "parameters": {"zone": "UTC"}}<|eot_id|>'),
    ],
)
def test_tool_calls_are_learnt_and_results_are_not(name: str, stop: str, call: str, tokenizer: Any) -> None:
    masker = masker_of(tokenizer, real_template(name), stop)
    assert learnt(masker, CALLING) == [[call, f"Noon.{stop}"]]


def test_a_call_is_learnt_name_first_and_seen_later_as_the_engine_writes_it(tokenizer: Any) -> None:
    """vLLM keeps calls of earlier turns in the order of the openai package's types, arguments first."""
    body = "{% if m.tool_calls %}{{ m.tool_calls[0].function | tojson }}{% else %}{{ m['content'] }}{% endif %}"
    masker = masker_of(tokenizer, "{{ tools | tojson }}" + CHATML.replace("{{ m['content'] }}", body), "<|im_end|>")
    assert learnt(masker, CALLING) == [
        ['{"name": "get_time", "arguments": {"zone": "UTC"}}<|im_end|>'],
        ["Noon.<|im_end|>"],
    ]
    *_, second = masker.mask(CALLING)
    assert '{"arguments": {"zone": "UTC"}, "name": "get_time"}' in tokenizer.decode(list(second.token_ids))


def test_a_template_without_tools_is_refused(tokenizer: Any) -> None:
    with pytest.raises(TemplateError, match="the template ignores tools"):
        masker_of(tokenizer, real_template("llama3"), "<|eot_id|>").mask(CALLING)
    bare = Conversation(ORIGIN, CALLING.messages)
    with pytest.raises(TemplateError, match="leaves out the assistant's tool calls"):
        masker_of(tokenizer, CHATML, "<|im_end|>").mask(bare)


def test_preferences_and_judged_answers_are_prompt_and_answer(tokenizer: Any) -> None:
    masker = masker_of(tokenizer, real_template("qwen2_5"), "<|im_end|>")
    prompt, good, bad = CHAT.messages[:1], CHAT.messages[1:2], CHAT.messages[3:]
    prompt_ids, chosen, rejected = masker.preference(Preference(ORIGIN, prompt, good, bad))
    assert prompt_ids == masker.prompt_ids(prompt)
    assert (tokenizer.decode(chosen), tokenizer.decode(rejected)) == ("Hello you<|im_end|>", "Bye.<|im_end|>")
    assert masker.judged(Judged(ORIGIN, prompt, good, True)) == (prompt_ids, chosen)


CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}"
    "{% if m['role'] == 'user' %}[INST] {{ m['content'] }} [/INST]"
    "{% else %} {{ m['content'] }}</s>{% endif %}{% endfor %}"
)
DEEPSEEK = (
    "{% for m in messages %}{% if m['role'] == 'user' %}<｜User｜>{{ m['content'] }}"
    "{% elif m['role'] == 'assistant' %}<｜Assistant｜>{{ m['content'].split('</think>')[-1] }}<｜end▁of▁sentence｜>"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}<｜Assistant｜>{% endif %}"
)


def test_templates_without_headings_or_generation_prompt(tokenizer: Any) -> None:
    assert learnt(masker_of(tokenizer, MISTRAL), CHAT) == [[" Hello you</s>", " Bye.</s>"]]
    stop = "<｜end▁of▁sentence｜>"
    assert learnt(masker_of(tokenizer, DEEPSEEK, stop), CHAT) == [[f"Hello you{stop}", f"Bye.{stop}"]]


PLANTED = {
    "lower-cases the answer": (CHATML.replace("m['content']", "m['content'] | lower"), "leaves out or changes"),
    "lower-cases the answer alone": (
        CHATML.replace("m['content']", "m['content'] | lower if m['role'] == 'assistant' else m['content']"),
        "says 'Hello you', the template makes 'hello you<|im_end|>' of it",
    ),
    "writes the time": (
        "{{ strftime_now('%H:%M:%S.%f') }}" + CHATML,
        "the template writes the time",
    ),
    "trims what comes last": (
        CHATML.replace("m['content']", "m['content'] | trim if loop.last else m['content']"),
        "cannot tell the answer from its prompt",
    ),
    "leaves out the system message": (
        "{% set messages = messages | rejectattr('role', 'equalto', 'system') | list %}" + CHATML,
        "leaves out or changes messages[0]",
    ),
    "has no generation prompt": (
        CHATML.partition("{% if add")[0],
        "does not say where the assistant begins",
    ),
    "never ends": (CHATML.replace("<|im_end|>", ""), "no token at which the engine stops"),
    "numbers the messages": (
        "{{ messages | length }}" + CHATML,
        "the prompt goes on with '2<|im_start|>",
    ),
    "fails": ("{{ messages[0].nothing.at_all }}", "refuses it: 'dict object' has no attribute 'nothing'"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_template_is_refused_with_its_reason(name: str, tokenizer: Any) -> None:
    template, said = PLANTED[name]
    chat = talk("Hi there ", "Hello you", system="Be brief. ")
    with pytest.raises(TemplateError) as caught:
        masker_of(tokenizer, template, "<|im_end|>").mask(chat)
    assert said in str(caught.value)


def test_an_answer_with_an_end_of_turn_inside_is_refused(tokenizer: Any) -> None:
    with pytest.raises(TemplateError, match="does not give the assistant's answer back"):
        masker_of(tokenizer, CHATML, "<|im_end|>").mask(talk("Hi", "Hello<|im_end|>you"))


def test_a_tokenizer_without_a_template_is_refused(tokenizer: Any) -> None:
    from freehold.finetune.masking import Masker

    with pytest.raises(TemplateError, match="no chat template"):
        Masker(tokenizer).mask(CHAT)
