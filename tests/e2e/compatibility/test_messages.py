"""Messages by the anthropic package."""

import json
from typing import Any

import anthropic
import jsonschema
import pytest
from anthropic import Anthropic
from fixtures.compatibility import Api
from fixtures.journeys import MODEL
from fixtures.requests import ASK, ASK_WEATHER, CITY

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]
MESSAGES = Api("/v1/messages", "anthropic")
COUNT = Api("/v1/messages/count_tokens", "anthropic")
GREEDY: dict[str, Any] = {"model": MODEL, "extra_body": {"temperature": 0}}
TOOL = {"name": "get_weather", "description": "Weather of a city", "input_schema": CITY, "strict": True}
IN_SCHEMA = {"format": {"type": "json_schema", "schema": CITY}}


@MESSAGES.works("message")
@MESSAGES.works("`system`, several turns")
def test_a_message(claude: Anthropic) -> None:
    reply = claude.messages.create(**GREEDY, messages=ASK, max_tokens=24)
    assert "Paris" in reply.content[0].text and (reply.stop_reason, reply.role) == ("end_turn", "assistant")
    assert reply.usage.input_tokens > 0 and reply.usage.output_tokens > 0
    turns = [*ASK, {"role": "assistant", "content": "Paris."}, {"role": "user", "content": "And of Italy?"}]
    system = [{"type": "text", "text": "You answer briefly."}]
    reply = claude.messages.create(**GREEDY, system=system, messages=turns, max_tokens=16)
    assert "Rome" in reply.content[0].text


@MESSAGES.works("streaming", "all events in order")
def test_a_stream(claude: Anthropic) -> None:
    whole = claude.messages.create(**GREEDY, messages=ASK, max_tokens=24)
    with claude.messages.stream(**GREEDY, messages=ASK, max_tokens=24) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_message()
    assert kinds[0] == "message_start" and kinds[-1] == "message_stop"
    assert kinds.index("content_block_start") < kinds.index("content_block_delta") < kinds.index("content_block_stop")
    assert final.content[0].text == whole.content[0].text
    assert final.usage.output_tokens == whole.usage.output_tokens


@MESSAGES.works("`max_tokens`, `stop_sequences`")
def test_what_ends_a_message(claude: Anthropic) -> None:
    short = claude.messages.create(**GREEDY, messages=ASK, max_tokens=2)
    assert (short.stop_reason, short.usage.output_tokens) == ("max_tokens", 2)
    stopped = claude.messages.create(**GREEDY, messages=ASK, max_tokens=24, stop_sequences=["France"])
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "France")
    assert "France" not in stopped.content[0].text


@MESSAGES.works("`tools`, `tool_choice` any or a name", "arguments follow the schema with `strict`")
@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "get_weather"}])
def test_a_tool_is_called(claude: Anthropic, choice: Any) -> None:
    reply = claude.messages.create(**GREEDY, messages=ASK_WEATHER, tools=[TOOL], tool_choice=choice, max_tokens=60)
    block = next(block for block in reply.content if block.type == "tool_use")
    assert (block.name, reply.stop_reason) == ("get_weather", "tool_use") and block.id
    jsonschema.validate(block.input, CITY)


@MESSAGES.works("streamed tool calls")
def test_a_tool_call_is_streamed(claude: Anthropic) -> None:
    with claude.messages.stream(
        **GREEDY, messages=ASK_WEATHER, tools=[TOOL], tool_choice={"type": "any"}, max_tokens=60
    ) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_message()
    block = next(block for block in final.content if block.type == "tool_use")
    assert "input_json" in kinds and final.stop_reason == "tool_use"
    jsonschema.validate(block.input, CITY)


@MESSAGES.works("tool results in the conversation")
def test_a_tool_result_is_answered(claude: Anthropic) -> None:
    turns = [
        *ASK_WEATHER,
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Paris"}}],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"}]},
    ]
    reply = claude.messages.create(**GREEDY, messages=turns, tools=[TOOL], max_tokens=12)
    assert reply.content


@MESSAGES.works("`output_config.format` json_schema")
def test_output_of_a_schema(claude: Anthropic) -> None:
    reply = claude.messages.create(**GREEDY, messages=ASK, max_tokens=40, output_config=IN_SCHEMA)
    jsonschema.validate(json.loads(reply.content[0].text), CITY)


@MESSAGES.works("`thinking` adaptive", "a model that does not reason answers at once")
def test_thinking_is_left_to_the_model(claude: Anthropic) -> None:
    reply = claude.messages.create(**GREEDY, messages=ASK, max_tokens=4, thinking={"type": "adaptive"})
    assert [block.type for block in reply.content] == ["text"]


@MESSAGES.refused("images to a text model, documents", "the message says so")
@pytest.mark.parametrize(
    ("block", "why"),
    [
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
            "takes no images",
        ),
        ({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}}, "document"),
    ],
)
def test_media_to_a_text_model(claude: Anthropic, block: Any, why: str) -> None:
    with pytest.raises(anthropic.BadRequestError, match=why):
        claude.messages.create(**GREEDY, messages=[{"role": "user", "content": [block]}], max_tokens=2)


@COUNT.works("count", "the same as the message then has")
def test_tokens_are_counted(claude: Anthropic) -> None:
    counted = claude.messages.count_tokens(model=MODEL, messages=ASK, system="You answer briefly.")
    reply = claude.messages.create(**GREEDY, messages=ASK, system="You answer briefly.", max_tokens=1)
    assert counted.input_tokens == reply.usage.input_tokens
