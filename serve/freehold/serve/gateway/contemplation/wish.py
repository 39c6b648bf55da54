"""What a request asks of a contemplation: what goes on to which parts, and what cannot be had."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from freehold.serve.gateway.endpoints import Endpoint
from freehold.serve.gateway.errors import RequestError
from freehold.serve.gateway.parameters import rules

PATH = "/v1/chat/completions"

_OWN = frozenset(
    {
        "model",
        "messages",
        "stream",
        "stream_options",
        "max_tokens",
        "max_completion_tokens",
        "temperature",
        "seed",
        "include_reasoning",
    }
)
"""Read here."""
_FOR_ALL = frozenset(
    {
        "top_p",
        "top_k",
        "min_p",
        "frequency_penalty",
        "presence_penalty",
        "repetition_penalty",
        "logit_bias",
        "reasoning_effort",
        "thinking_token_budget",
        "chat_template_kwargs",
        "mm_processor_kwargs",
        "media_io_kwargs",
        "priority",
    }
)
"""Goes to every part."""
_FOR_ANSWERS = frozenset({"stop", "stop_token_ids", "response_format", "structured_outputs", "bad_words"})
"""Goes to drafts and the judge: a critique has a form of its own."""

_ONE_ANSWER = "a contemplation gives one answer"
_TEXT_ONLY = "its parts talk to each other in text"
_NO_TOOLS = "drafts cannot call tools: a call would have to be answered before the next part"
_MERGED = "the answer is made of several models' texts, which have no probability together"
_REFUSED: dict[str, tuple[str, tuple[Any, ...]]] = {
    "n": (_ONE_ANSWER, (1,)),
    "best_of": (_ONE_ANSWER, (1,)),
    "use_beam_search": (_ONE_ANSWER, (False,)),
    "tools": (_NO_TOOLS, ([],)),
    "tool_choice": (_NO_TOOLS, ("none", "auto")),
    "parallel_tool_calls": (_NO_TOOLS, (True, False)),
    "functions": (_NO_TOOLS, ([],)),
    "function_call": (_NO_TOOLS, ("none", "auto")),
    "logprobs": (_MERGED, (False,)),
    "top_logprobs": (_MERGED, (0,)),
    "prompt_logprobs": (_MERGED, ()),
    "modalities": (_TEXT_ONLY, (["text"], [])),
    "audio": (_TEXT_ONLY, ()),
    "echo": (_ONE_ANSWER, (False,)),
    "continue_final_message": ("a begun answer cannot be criticised as a draft", (False,)),
}
"""Why not, and the values that ask for nothing."""
_UNKNOWN = "it is not known which parts of a contemplation it is for"
_PASSED_HINTS = frozenset({"reasoning_effort"})


@dataclass(frozen=True, slots=True)
class Wish:
    """A request, taken apart."""

    messages: list[Any]
    is_stream: bool
    wants_usage: bool
    wants_transcript: bool
    answer_tokens: int | None
    """Most that each draft and the answer may have."""
    temperature: float | None
    seed: int | None
    for_all: dict[str, Any]
    for_answers: dict[str, Any]
    ignored: tuple[str, ...]
    """Hints that change nothing and go to nobody."""


def read_wish(endpoint: Endpoint, document: Mapping[str, Any], route: str) -> Wish:
    """Raises RequestError for the first thing that cannot be had."""
    if endpoint.path != PATH:
        raise RequestError(
            f"The route '{route}' does not answer {endpoint.path}",
            why="it contemplates, and that is done in chat completions",
            next_step=f"Send a chat to {PATH}, or name a model.",
            code="path_not_served",
            param="model",
        )
    ignored = _ignored(document)
    for name, value in document.items():
        if value is not None and name not in _OWN | _FOR_ALL | _FOR_ANSWERS and name not in ignored:
            _check(name, value)
    options = document.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise _wrong("stream_options", "it is not an object")
    options = options or {}
    if options.get("continuous_usage_stats"):
        raise _refused("stream_options.continuous_usage_stats", "usage is told once, when every part has told its own")
    return Wish(
        messages=_messages(document),
        is_stream=_flag(document, "stream"),
        wants_usage=bool(options.get("include_usage")),
        wants_transcript=_flag(document, "include_reasoning"),
        answer_tokens=_answer_tokens(document),
        temperature=_temperature(document),
        seed=_integer(document, "seed"),
        for_all={name: document[name] for name in _FOR_ALL if document.get(name) is not None},
        for_answers={name: document[name] for name in _FOR_ANSWERS if document.get(name) is not None},
        ignored=ignored,
    )


def _ignored(document: Mapping[str, Any]) -> tuple[str, ...]:
    hints = (rule for rule in rules()[PATH] if rule.action == "hint" and rule.parameter not in _PASSED_HINTS)
    asked = ((rule, document.get(rule.parameter)) for rule in hints)
    return tuple(sorted(rule.parameter for rule, value in asked if value is not None and value not in rule.harmless))


def _check(name: str, value: Any) -> None:
    known = _REFUSED.get(name)
    if known is None:
        known = next(((rule.why, rule.harmless) for rule in rules()[PATH] if rule.parameter == name), (_UNKNOWN, ()))
    why, harmless = known
    if value not in harmless:
        raise _refused(name, why, harmless)


def _refused(name: str, why: str, harmless: tuple[Any, ...] = ()) -> RequestError:
    alternatives = ", ".join(json.dumps(choice) for choice in harmless)
    return RequestError(
        f"The parameter '{name}' is not supported by a route that contemplates",
        why=why,
        next_step=f"Leave it out{f' or send {alternatives}' if alternatives else ''}, or name a model.",
        code="unsupported_parameter",
        param=name,
    )


def _wrong(name: str, why: str) -> RequestError:
    return RequestError(f"The parameter '{name}' is not valid", why=why, code="invalid_value", param=name)


def _messages(document: Mapping[str, Any]) -> list[Any]:
    messages = document.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(each, dict) for each in messages):
        raise _wrong("messages", "it is not a list of messages")
    return messages


def _flag(document: Mapping[str, Any], name: str) -> bool:
    value = document.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise _wrong(name, f"{json.dumps(value)} is neither true nor false")


def _integer(document: Mapping[str, Any], name: str) -> int | None:
    value = document.get(name)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise _wrong(name, f"{json.dumps(value)} is not a whole number")


def _answer_tokens(document: Mapping[str, Any]) -> int | None:
    for name in ("max_completion_tokens", "max_tokens"):
        value = _integer(document, name)
        if value is not None and value < 1:
            raise _wrong(name, "an answer has one token at least")
        if value is not None:
            return value
    return None


def _temperature(document: Mapping[str, Any]) -> float | None:
    value = document.get("temperature")
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise _wrong("temperature", f"{json.dumps(value)} is not a number")
