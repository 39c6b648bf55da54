"""Responses by the openai package."""

import json
from typing import Any

import jsonschema
import openai
import pytest
from fixtures.compatibility import Api
from fixtures.journeys import MODEL
from fixtures.requests import CITY, WEATHER
from openai import OpenAI

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]
RESPONSES = Api("/v1/responses", "openai")
ASKED = "What is the capital of France?"
TOOL = {"type": "function", **WEATHER}
IN_SCHEMA = {"format": {"type": "json_schema", "name": "place", "schema": CITY, "strict": True}}


@RESPONSES.works("`input` as text or as messages, `instructions`")
def test_a_response(client: OpenAI) -> None:
    reply = client.responses.create(model=MODEL, input=ASKED, max_output_tokens=24, temperature=0)
    assert "Paris" in reply.output_text and reply.status == "completed"
    assert reply.usage and reply.usage.total_tokens == reply.usage.input_tokens + reply.usage.output_tokens
    turns = [
        {"role": "user", "content": ASKED},
        {"role": "assistant", "content": "Paris."},
        {"role": "user", "content": [{"type": "input_text", "text": "And of Italy?"}]},
    ]
    reply = client.responses.create(
        model=MODEL, input=turns, instructions="You answer briefly.", max_output_tokens=16, temperature=0
    )
    assert "Rome" in reply.output_text


@RESPONSES.works("streaming", "all events in order")
def test_a_stream(client: OpenAI) -> None:
    with client.responses.stream(model=MODEL, input=ASKED, max_output_tokens=24, temperature=0) as stream:
        events = list(stream)
        final = stream.get_final_response()
    kinds = [event.type for event in events]
    assert kinds[0] == "response.created" and kinds[-1] == "response.completed"
    assert kinds.index("response.output_item.added") < kinds.index("response.output_text.delta")
    assert [event.sequence_number for event in events] == sorted({event.sequence_number for event in events})
    deltas = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert deltas == final.output_text and "Paris" in deltas


@RESPONSES.works("`max_output_tokens`", "status incomplete")
def test_the_length_is_limited(client: OpenAI) -> None:
    reply = client.responses.create(model=MODEL, input=ASKED, max_output_tokens=2)
    assert reply.status == "incomplete" and reply.incomplete_details
    assert reply.incomplete_details.reason == "max_output_tokens"


@RESPONSES.works("`text.format` json_schema, strict")
def test_output_of_a_schema(client: OpenAI) -> None:
    reply = client.responses.create(model=MODEL, input=ASKED, text=IN_SCHEMA, max_output_tokens=40, temperature=0)
    jsonschema.validate(json.loads(reply.output_text), CITY)


@RESPONSES.works("`tools` of type function, `tool_choice` required or a name")
@pytest.mark.parametrize("choice", ["required", {"type": "function", "name": "get_weather"}])
def test_a_tool_is_called(client: OpenAI, choice: Any) -> None:
    reply = client.responses.create(
        model=MODEL, input="Weather in Paris?", tools=[TOOL], tool_choice=choice, max_output_tokens=60, temperature=0
    )
    (call,) = [item for item in reply.output if item.type == "function_call"][:1]
    assert call.name == "get_weather" and call.call_id
    jsonschema.validate(json.loads(call.arguments), CITY)


@RESPONSES.works("streamed tool calls")
def test_a_tool_call_is_streamed(client: OpenAI) -> None:
    stream = client.responses.create(
        model=MODEL,
        input="Weather in Paris?",
        tools=[TOOL],
        tool_choice="required",
        max_output_tokens=60,
        temperature=0,
        stream=True,
    )
    events = list(stream)
    done = next(event for event in events if event.type == "response.function_call_arguments.done")
    deltas = [event for event in events if event.type == "response.function_call_arguments.delta"]
    assert "".join(event.delta for event in deltas if event.item_id == done.item_id) == done.arguments
    jsonschema.validate(json.loads(done.arguments), CITY)


@RESPONSES.works("tool results in `input`")
def test_a_tool_result_is_answered(client: OpenAI) -> None:
    turns = [
        {"role": "user", "content": "Weather in Paris?"},
        {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": '{"city": "Paris"}'},
        {"type": "function_call_output", "call_id": "call_1", "output": "sunny"},
    ]
    reply = client.responses.create(model=MODEL, input=turns, tools=[TOOL], max_output_tokens=12, temperature=0)
    assert reply.output_text


@RESPONSES.works("log-probabilities by `include`")
def test_log_probabilities(client: OpenAI) -> None:
    reply = client.responses.create(
        model=MODEL, input=ASKED, include=["message.output_text.logprobs"], top_logprobs=2, max_output_tokens=2
    )
    text = reply.output[0].content[0]  # type: ignore[union-attr]
    assert len(text.logprobs) == 2 and len(text.logprobs[0].top_logprobs) == 2  # type: ignore[union-attr,arg-type]


@RESPONSES.works("`metadata`", "comes back in the answer")
def test_metadata(client: OpenAI) -> None:
    reply = client.responses.create(model=MODEL, input=ASKED, metadata={"team": "a"}, max_output_tokens=1)
    assert reply.metadata == {"team": "a"}


@RESPONSES.refused("`background`, `prompt`, files in `input`", "the engine's own message")
@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"background": True}, "background"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]}]}, "type"),
    ],
)
def test_what_the_engine_refuses(client: OpenAI, more: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(**{"model": MODEL, "input": ASKED, "max_output_tokens": 1, **more})
    assert refused.value.param == param


@RESPONSES.refused("`previous_response_id`", "404, as the engine keeps no responses")
def test_a_response_that_was_not_kept(client: OpenAI) -> None:
    reply = client.responses.create(model=MODEL, input=ASKED, max_output_tokens=1, store=True)
    with pytest.raises(openai.NotFoundError, match=reply.id):
        client.responses.create(model=MODEL, input="And?", previous_response_id=reply.id, max_output_tokens=1)
