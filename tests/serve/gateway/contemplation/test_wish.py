"""What cannot be had of a contemplation is refused by name; what asks for nothing passes."""

from typing import Any

import openai
import pytest
from fixtures.council import QUESTION, says, scene
from openai import AsyncOpenAI
from openai.types.chat.completion_create_params import CompletionCreateParamsBase

from freehold.serve.gateway.contemplation.wish import PATH, read_wish
from freehold.serve.gateway.endpoints import ENDPOINTS
from freehold.serve.gateway.errors import RequestError

CHAT = ENDPOINTS[PATH]
TOOL = {"type": "function", "function": {"name": "f"}}
HARMLESS: dict[str, Any] = {
    "n": 1,
    "tools": [],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "logprobs": False,
    "top_logprobs": 0,
    "modalities": ["text"],
    "verbosity": "medium",
    "store": False,
    "metadata": {},
    "audio": None,
    "continue_final_message": False,
    "stream_options": {"include_usage": True},
}
SUPPORTED = {
    "messages",
    "model",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "seed",
    "top_p",
    "frequency_penalty",
    "presence_penalty",
    "logit_bias",
    "stop",
    "response_format",
    "reasoning_effort",
}


def _read(**fields: Any) -> Any:
    return read_wish(CHAT, {"model": "council", "messages": QUESTION, **fields}, "council")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"n": 2}, "one answer"),
        ({"tools": [TOOL]}, "cannot call tools"),
        ({"tool_choice": "required"}, "cannot call tools"),
        ({"functions": [{"name": "f"}]}, "cannot call tools"),
        ({"logprobs": True}, "no probability"),
        ({"top_logprobs": 3}, "no probability"),
        ({"audio": {"voice": "x"}}, "text"),
        ({"modalities": ["text", "audio"]}, "text"),
        ({"web_search_options": {}}, "searches no web"),
        ({"continue_final_message": True}, "begun answer"),
        ({"guided_json": {}}, "not known"),
        ({"reasoning": {"effort": "high"}}, "not known"),
    ],
)
def test_what_cannot_be_had_is_refused_by_name_and_reason(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(RequestError, match=why) as refused:
        _read(**fields)
    assert (refused.value.param, refused.value.code) == (next(iter(fields)), "unsupported_parameter")


@pytest.mark.parametrize("name", HARMLESS)
def test_what_asks_for_nothing_passes(name: str) -> None:
    assert _read(**{name: HARMLESS[name]}).ignored == ()


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": []},
        {"messages": "hello"},
        {"messages": ["hello"]},
        {"max_tokens": 0},
        {"max_tokens": "9"},
        {"temperature": "hot"},
        {"seed": 1.5},
        {"stream": "yes"},
        {"include_reasoning": 1},
        {"stream_options": []},
    ],
)
def test_what_is_no_value_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(RequestError) as refused:
        _read(**fields)
    assert (refused.value.param, refused.value.code) == (next(iter(fields)), "invalid_value")


def test_no_parameter_of_the_sdk_is_dropped_in_silence() -> None:
    """Each is read, refused, or named in the answer's header."""
    dropped = []
    for name in CompletionCreateParamsBase.__annotations__.keys() - SUPPORTED:
        try:
            wish = _read(**{name: {"some": "thing"}})
        except RequestError as refused:
            assert refused.param == name
            continue
        if name not in wish.ignored:
            dropped.append(name)
    assert dropped == []


def test_the_smaller_names_limit_counts() -> None:
    assert _read(max_tokens=5).answer_tokens == 5
    assert _read(max_tokens=5, max_completion_tokens=7).answer_tokens == 7, "as engines have it"


@pytest.mark.parametrize("path", sorted(ENDPOINTS.keys() - {PATH}))
def test_other_paths_are_refused_by_name(path: str) -> None:
    with pytest.raises(RequestError, match=f"does not answer {path}") as refused:
        read_wish(ENDPOINTS[path], {"model": "council"}, "council")
    assert refused.value.code == "path_not_served"


async def test_nobody_is_asked_when_a_parameter_is_refused() -> None:
    async with (
        scene({"agents": {"tiny": 2}, "mode": "majority"}, tiny=says("4")) as room,
        AsyncOpenAI(base_url=f"{room.gateway.url}/v1", api_key="any", max_retries=0) as client,
    ):
        with pytest.raises(openai.BadRequestError) as refused:
            await client.chat.completions.create(model="council", messages=QUESTION, n=3)  # type: ignore[arg-type]
        assert refused.value.param == "n"
        with pytest.raises(openai.BadRequestError, match="does not answer /v1/responses"):
            await client.responses.create(model="council", input="hi")
        assert room.speakers["tiny"].asked == []


async def test_images_go_along_with_what_is_added() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,xx"}}
    messages = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, image]}]
    async with scene({"agents": {"tiny": 2}, "judge": "tiny"}, tiny=says("4")) as room:
        status, _ = await room.ask(messages=messages)
        assert status == 200
        contents = [body["messages"][-1]["content"] for _, body in room.speakers["tiny"].asked]
        assert all(image in content for content in contents) and len(contents) == 5


async def test_a_conversation_that_the_assistant_ends_gets_a_turn_of_the_users() -> None:
    messages = [*QUESTION, {"role": "assistant", "content": "It is"}]
    async with scene({"agents": {"tiny": 2}, "judge": "tiny"}, tiny=says("4")) as room:
        await room.ask(messages=messages)
        roles = {kind: [message["role"] for message in body["messages"]] for kind, body in room.speakers["tiny"].asked}
        assert roles["draft"] == ["user", "assistant"]
        assert roles["critique"] == roles["merge"] == ["user", "assistant", "user"]
