"""Chat completions by the openai package."""

import json
from typing import Any

import jsonschema
import openai
import pytest
from fixtures.compatibility import Api
from fixtures.journeys import MODEL
from fixtures.requests import ASK, ASK_WEATHER, CITY, GREEDY, ONE_CALL, TOOL, TWO_CALLS
from openai import OpenAI
from openai.types.chat import ChatCompletionChunk
from pydantic import BaseModel

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]
CHAT = Api("/v1/chat/completions", "openai")
FORMAT = {"type": "json_schema", "json_schema": {"name": "place", "schema": CITY, "strict": True}}


def _text(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


@CHAT.works("chat")
def test_chat(client: OpenAI) -> None:
    reply = client.chat.completions.create(model=MODEL, **GREEDY, max_tokens=24)
    assert "Paris" in (reply.choices[0].message.content or "")
    assert (reply.choices[0].finish_reason, reply.choices[0].message.role) == ("stop", "assistant")
    assert reply.usage and reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens
    assert reply.model == MODEL and reply.id and reply.system_fingerprint


@CHAT.works("streaming")
@CHAT.works("`stream_options.include_usage`")
def test_streaming_says_the_same_and_counts_when_asked(client: OpenAI) -> None:
    whole = client.chat.completions.create(model=MODEL, **GREEDY, max_tokens=24)
    plain = list(client.chat.completions.create(model=MODEL, **GREEDY, max_tokens=24, stream=True))
    counted = list(
        client.chat.completions.create(
            model=MODEL, **GREEDY, max_tokens=24, stream=True, stream_options={"include_usage": True}
        )
    )
    assert len(plain) > 4 and _text(plain) == _text(counted) == whole.choices[0].message.content
    assert plain[-1].choices[0].finish_reason == "stop"
    assert [chunk.usage for chunk in plain if chunk.usage] == []
    assert counted[-1].choices == [] and counted[-1].usage == whole.usage


@CHAT.works("system message, several turns")
def test_a_conversation(client: OpenAI) -> None:
    turns = [
        {"role": "system", "content": "You answer briefly."},
        *ASK,
        {"role": "assistant", "content": "Paris."},
        {"role": "user", "content": [{"type": "text", "text": "And of Italy?"}]},
    ]
    reply = client.chat.completions.create(model=MODEL, messages=turns, temperature=0, max_tokens=16)
    assert "Rome" in (reply.choices[0].message.content or "")


@CHAT.works("`max_completion_tokens`, `max_tokens`")
@pytest.mark.parametrize("name", ["max_completion_tokens", "max_tokens"])
def test_the_length_is_limited(client: OpenAI, name: str) -> None:
    reply = client.chat.completions.create(model=MODEL, **GREEDY, **{name: 3})
    assert reply.choices[0].finish_reason == "length"
    assert reply.usage and reply.usage.completion_tokens == 3


@CHAT.works("`n`")
@CHAT.works("`seed`", "on the same engine and machine")
def test_several_choices_and_the_same_again_for_the_same_seed(client: OpenAI) -> None:
    def texts(seed: int) -> list[str | None]:
        reply = client.chat.completions.create(model=MODEL, messages=ASK, n=3, seed=seed, max_tokens=8, temperature=1.5)
        assert [choice.index for choice in reply.choices] == [0, 1, 2]
        return [choice.message.content for choice in reply.choices]

    first = texts(7)
    assert len(set(first)) > 1 and texts(7) == first and texts(8) != first


@CHAT.works("`stop`")
def test_a_stop_sequence_ends_the_answer_before_it(client: OpenAI) -> None:
    reply = client.chat.completions.create(model=MODEL, **GREEDY, max_tokens=24, stop=["Paris", "Rome"])
    assert (reply.choices[0].message.content or "").rstrip().endswith("is")
    assert reply.choices[0].finish_reason == "stop"


@CHAT.works("`logprobs`, `top_logprobs`", "20 at most")
@CHAT.works("`logit_bias`")
def test_log_probabilities_and_a_banned_token(client: OpenAI) -> None:
    reply = client.chat.completions.create(
        model=MODEL, **GREEDY, max_tokens=2, logprobs=True, top_logprobs=3, extra_body={"return_token_ids": True}
    )
    logprobs = reply.choices[0].logprobs
    assert logprobs and logprobs.content and len(logprobs.content) == 2
    first = logprobs.content[0]
    assert len(first.top_logprobs) == 3 and first.logprob == max(each.logprob for each in first.top_logprobs) <= 0
    banned = str(reply.choices[0].model_extra["token_ids"][0])  # type: ignore[index]
    other = client.chat.completions.create(
        model=MODEL, **GREEDY, max_tokens=2, logprobs=True, logit_bias={banned: -100}
    )
    assert other.choices[0].logprobs and other.choices[0].logprobs.content
    assert other.choices[0].logprobs.content[0].token != first.token


@CHAT.refused("`top_logprobs` above the maximum", "the message says the maximum")
def test_too_many_log_probabilities(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match=r"max allowed: 20") as refused:
        client.chat.completions.create(model=MODEL, **GREEDY, max_tokens=2, logprobs=True, top_logprobs=21)
    assert refused.value.param == "logprobs"


@CHAT.works("`response_format` json_schema, strict")
def test_output_of_a_schema(client: OpenAI) -> None:
    reply = client.chat.completions.create(model=MODEL, **GREEDY, max_tokens=40, response_format=FORMAT)
    jsonschema.validate(json.loads(reply.choices[0].message.content or ""), CITY)


class Place(BaseModel):
    """What a typed answer is parsed into."""

    capital: bool


@CHAT.works("`chat.completions.parse` into a pydantic model")
def test_output_of_a_type(client: OpenAI) -> None:
    reply = client.chat.completions.parse(model=MODEL, **GREEDY, max_tokens=40, response_format=Place)
    assert isinstance(reply.choices[0].message.parsed, Place)


@CHAT.works("`response_format` json_object")
def test_json_mode(client: OpenAI) -> None:
    turns = [
        {"role": "user", "content": "The capital of France as JSON."},
        {"role": "assistant", "content": '{"capital": "Paris"}'},
        {"role": "user", "content": "The capital of Italy as JSON."},
    ]
    reply = client.chat.completions.create(
        model=MODEL, messages=turns, temperature=0, max_tokens=40, response_format={"type": "json_object"}
    )
    assert isinstance(json.loads(reply.choices[0].message.content or ""), dict)


@CHAT.refused("`response_format` json_schema with an invalid schema", "the grammar's own message")
def test_an_invalid_schema(client: OpenAI) -> None:
    odd = {"type": "json_schema", "json_schema": {"name": "odd", "schema": {"type": "nothing"}}}
    with pytest.raises(openai.BadRequestError, match="nothing"):
        client.chat.completions.create(model=MODEL, **GREEDY, max_tokens=2, response_format=odd)


@CHAT.works("`tools`, `tool_choice` required or a name", "arguments follow the schema with `strict`")
@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "get_weather"}}])
def test_a_tool_is_called(client: OpenAI, choice: Any) -> None:
    reply = client.chat.completions.create(
        model=MODEL, messages=ASK_WEATHER, tools=[TOOL], tool_choice=choice, temperature=0, max_tokens=60
    )
    calls = reply.choices[0].message.tool_calls
    assert calls and calls[0].type == "function" and calls[0].function.name == "get_weather" and calls[0].id
    jsonschema.validate(json.loads(calls[0].function.arguments), CITY)


@CHAT.works("`tool_choice` none and auto", "auto wants `toolCallParser`")
def test_the_model_may_choose(client: OpenAI) -> None:
    for choice in ("none", "auto"):
        reply = client.chat.completions.create(model=MODEL, **GREEDY, tools=[TOOL], tool_choice=choice, max_tokens=12)
        assert reply.choices[0].message.content and not reply.choices[0].message.tool_calls
    reply = client.chat.completions.create(model=MODEL, messages=ONE_CALL, tools=[TOOL], temperature=0, max_tokens=40)
    assert reply.choices[0].finish_reason == "tool_calls" and reply.choices[0].message.tool_calls


@CHAT.works("parallel tool calls, and one with `parallel_tool_calls` false")
def test_two_tools_are_called_at_once(client: OpenAI) -> None:
    def calls(**more: Any) -> list[str]:
        reply = client.chat.completions.create(
            model=MODEL, messages=TWO_CALLS, tools=[TOOL], tool_choice="required", temperature=0, max_tokens=80, **more
        )
        assert reply.choices[0].finish_reason == "tool_calls"
        return [call.function.arguments for call in reply.choices[0].message.tool_calls or []]  # type: ignore[union-attr]

    both = calls()
    assert len(both) == 2
    for arguments in both:
        jsonschema.validate(json.loads(arguments), CITY)
    assert len(calls(parallel_tool_calls=False)) == 1


@CHAT.works("streamed tool calls")
def test_tool_calls_are_streamed(client: OpenAI) -> None:
    with client.chat.completions.stream(
        model=MODEL, messages=TWO_CALLS, tools=[TOOL], tool_choice="required", temperature=0, max_tokens=80
    ) as stream:
        events = [event.type for event in stream]
        final = stream.get_final_completion().choices[0]
    assert "tool_calls.function.arguments.delta" in events and "tool_calls.function.arguments.done" in events
    calls = final.message.tool_calls or []
    assert len(calls) == 2 and final.finish_reason == "tool_calls"
    for call in calls:
        jsonschema.validate(json.loads(call.function.arguments), CITY)


@CHAT.works("tool results in the conversation")
def test_a_tool_result_is_answered(client: OpenAI) -> None:
    reply = client.chat.completions.create(model=MODEL, messages=TWO_CALLS[:4], temperature=0, max_tokens=12)
    assert reply.choices[0].message.content


@CHAT.refused("`tool_choice` auto on a model without `toolCallParser`", "the message names the engine's option")
def test_tools_without_a_parser(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="tool-call-parser"):
        client.chat.completions.create(model="no-parser", messages=ASK, tools=[TOOL], max_tokens=2)


@CHAT.refused("tools of type custom, `tool_choice` allowed_tools", "the engine calls functions")
@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "body.tools.0.type"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}},
            "tool_choice.function",
        ),
    ],
)
def test_other_kinds_of_tools(client: OpenAI, more: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=MODEL, **GREEDY, **more, max_tokens=2)
    assert refused.value.param == param


@CHAT.refused("images and audio to a text model", "`param` names the part, and the message what the model takes")
@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
    ],
)
def test_media_to_a_text_model(client: OpenAI, part: dict[str, Any]) -> None:
    with pytest.raises(
        openai.BadRequestError, match=r"takes no (images|sound): by its config.json it takes text"
    ) as refused:
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": [part]}], max_tokens=2)
    assert refused.value.code == "modality_not_supported"
    assert refused.value.param and refused.value.param.startswith("messages[0].content[0].")


@CHAT.refused("files in messages", "the message lists the supported parts")
def test_files(client: OpenAI) -> None:
    part = {"type": "file", "file": {"file_id": "file-1"}}
    with pytest.raises(openai.BadRequestError, match="Unsupported chat content part type: 'file'"):
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": [part]}], max_tokens=2)


@CHAT.works("vLLM's own parameters through `extra_body`")
def test_parameters_of_vllm(client: OpenAI) -> None:
    reply = client.chat.completions.create(
        model=MODEL, **GREEDY, max_tokens=30, extra_body={"min_tokens": 30, "ignore_eos": True}
    )
    assert reply.usage and reply.usage.completion_tokens == 30
