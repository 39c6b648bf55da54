"""What a request begins with: equal for the turns of a session, different for others, in every dialect."""

import json
from typing import Any

import pytest

from freehold.serve.engines.policies import Wish
from freehold.serve.gateway.endpoints import ENDPOINTS
from freehold.serve.gateway.prefix import ANSWER_TOKENS, CHARACTERS, wish_of
from freehold.serve.gateway.request import parse_request

SYSTEM = {"role": "system", "content": "You are kind."}
HELLO = {"role": "user", "content": "Hello"}
LONG = "x" * CHARACTERS


def wish(path: str, adapter: str | None = None, **fields: Any) -> Wish:
    body = json.dumps({"model": "tiny", **fields}).encode()
    return wish_of(parse_request(ENDPOINTS[path], {"headers": []}, body), adapter)


def chat(*messages: dict[str, Any], **fields: Any) -> Wish:
    return wish("/v1/chat/completions", messages=list(messages), **fields)


def start(one: Wish) -> tuple[int | None, int]:
    return one.prompt, one.session


def test_the_turns_of_a_session_are_equal() -> None:
    first = chat(SYSTEM, HELLO)
    answer, more = {"role": "assistant", "content": "Hi"}, {"role": "user", "content": "And?"}
    later = chat(SYSTEM, HELLO, answer, more, temperature=0, stream=True)
    assert start(first) == start(later) and later.tokens > first.tokens


def test_sessions_share_their_system_prompt_alone() -> None:
    one, other = chat(SYSTEM, HELLO), chat(SYSTEM, {"role": "user", "content": "Good bye"})
    assert one.prompt == other.prompt and one.session != other.session
    assert chat({"role": "system", "content": "You are rude."}, HELLO).prompt != one.prompt
    assert chat({"role": "system", "content": "You are rude."}, HELLO).session != one.session


@pytest.mark.parametrize(
    ("path", "one", "same", "other"),
    [
        (
            "/v1/messages",
            {"system": "Be kind.", "messages": [HELLO]},
            {"system": [{"type": "text", "text": "Be kind.", "cache_control": {}}], "messages": [HELLO]},
            {"system": "Be rude.", "messages": [HELLO]},
        ),
        (
            "/v1/responses",
            {"instructions": "Be kind.", "input": "Hello"},
            {"input": "Hello", "instructions": "Be kind.", "temperature": 1},
            {"instructions": "Be rude.", "input": "Hello"},
        ),
        (
            "/v1/responses",
            {"instructions": "Be kind.", "input": [HELLO]},
            {"instructions": "Be kind.", "input": [HELLO, {"type": "function_call", "name": "f"}]},
            {"instructions": "Be rude.", "input": [HELLO]},
        ),
        ("/v1/completions", {"prompt": LONG + "a"}, {"prompt": LONG + "b"}, {"prompt": "y" + LONG}),
        ("/v1/completions", {"prompt": [1, 2, 3]}, {"prompt": [1, 2, 3], "n": 2}, {"prompt": [3, 2, 1]}),
        ("/v1/completions", {"prompt": ["a", "b"]}, {"prompt": "a"}, {"prompt": ["b"]}),
    ],
)  # fmt: skip
def test_dialects(path: str, one: dict[str, Any], same: dict[str, Any], other: dict[str, Any]) -> None:
    assert wish(path, **one).prompt is not None
    assert start(wish(path, **one)) == start(wish(path, **same)) != start(wish(path, **other))


def test_parts_of_a_message_count() -> None:
    def shown(url: str) -> Wish:
        return chat({"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]})

    assert start(shown("https://a.example/1.png")) != start(shown("https://a.example/2.png"))
    text = [{"type": "text", "text": "Hello"}]
    assert start(chat({"role": "user", "content": text})) == start(chat(HELLO))


def test_the_model_and_its_adapters_are_apart() -> None:
    plain, one, other = (
        wish("/v1/chat/completions", name, messages=[SYSTEM, HELLO]) for name in (None, "support", "sales")
    )
    assert plain.adapter is None and one.adapter != other.adapter and start(plain) == start(one)


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/v1/embeddings", {"input": "a text"}),
        ("/v1/rerank", {"query": "a", "documents": ["b"]}),
        ("/v1/chat/completions", {}),
    ],
)
def test_what_is_not_found_again_has_no_prefix(path: str, fields: dict[str, Any]) -> None:
    assert wish(path, **fields).prompt is None


@pytest.mark.parametrize(
    "messages",
    [[], [None], ["text"], [{}], [{"role": "user"}], [{"content": 5}], [{"content": [[], 3, {"a": {}}]}]],
)
def test_what_an_engine_will_refuse_does_no_harm(messages: list[Any]) -> None:
    assert wish("/v1/chat/completions", messages=messages).tokens > 0


def test_tokens_are_those_of_the_body_and_of_the_answer_that_is_asked_for() -> None:
    short, usual, long = (chat(HELLO, max_tokens=asked) for asked in (100, ANSWER_TOKENS, 900))
    assert usual.tokens - short.tokens == ANSWER_TOKENS - 100 and long.tokens == usual.tokens
    assert chat({"role": "user", "content": LONG}).tokens > CHARACTERS / 4
    assert chat(HELLO, max_tokens="many").tokens >= ANSWER_TOKENS


def test_half_a_surrogate_is_text_too() -> None:
    assert start(chat({"role": "user", "content": "\ud800"})) != start(chat(HELLO))
