"""Parameters that vLLM would ignore: the gateway refuses them, or names them in a header."""

from typing import Any

import anthropic
import openai
import pytest
from anthropic import Anthropic
from fixtures.compatibility import Api
from fixtures.journeys import MODEL
from fixtures.requests import ASK, GREEDY
from openai import OpenAI

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]
CHAT, RESPONSES = Api("/v1/chat/completions", "openai"), Api("/v1/responses", "openai")
COMPLETIONS, MESSAGES = Api("/v1/completions", "openai"), Api("/v1/messages", "anthropic")
REFUSED = "`param` names it"
NAMED = "`x-freehold-not-honoured` names them"


@CHAT.refused("what would change the answer: audio, web search, `verbosity`", REFUSED)
@pytest.mark.parametrize(
    ("param", "value"),
    [("modalities", ["text", "audio"]), ("web_search_options", {}), ("verbosity", "low"), ("audio", {"voice": "ash"})],
)
def test_chat_refuses(client: OpenAI, param: str, value: Any) -> None:
    with pytest.raises(openai.BadRequestError, match=param) as refused:
        client.chat.completions.create(model=MODEL, **GREEDY, max_tokens=2, **{param: value})
    assert (refused.value.code, refused.value.param) == ("unsupported_parameter", param)


@COMPLETIONS.refused("`best_of`", REFUSED)
def test_completions_refuse(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.completions.create(model=MODEL, prompt="One", best_of=2, max_tokens=2)
    assert (refused.value.code, refused.value.param) == ("unsupported_parameter", "best_of")


@RESPONSES.refused("built-in tools, `conversation`, `text.verbosity`", REFUSED)
@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"text": {"verbosity": "low"}}, "text.verbosity"),
    ],
)
def test_responses_refuse(client: OpenAI, more: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model=MODEL, input="hi", max_output_tokens=2, **more)
    assert (refused.value.code, refused.value.param) == ("unsupported_parameter", param)


@MESSAGES.refused("server tools, MCP servers, `container`, documents in tool results", "the message names it")
@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, r"tools\[0\].type"),
        ({"extra_body": {"mcp_servers": [{"type": "url", "url": "http://x", "name": "x"}]}}, "mcp_servers"),
        ({"container": "container_1"}, "container"),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "tool_result", "tool_use_id": "1", "content": [{"type": "document"}]}],
                    }
                ]
            },
            r"messages\[0\].content\[0\].content\[0\].type",
        ),
    ],
)
def test_messages_refuse(claude: Anthropic, more: dict[str, Any], name: str) -> None:
    with pytest.raises(anthropic.BadRequestError, match=rf"{name}\W.*is not supported") as refused:
        claude.messages.create(**{"model": MODEL, "messages": ASK, "max_tokens": 2, **more})
    assert refused.value.body["error"]["type"] == "invalid_request_error"  # type: ignore[index]


@CHAT.works("what would not change the answer: `user`, `metadata`, `service_tier`, …", NAMED)
@CHAT.works("fields that no SDK knows", "they reach the engine untouched")
def test_chat_names(client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model=MODEL,
        **GREEDY,
        max_tokens=2,
        user="u",
        service_tier="priority",
        store=False,
        extra_body={"never_heard_of": 1},
    )
    assert raw.headers["x-freehold-not-honoured"] == "service_tier, user"
    assert raw.parse().choices[0].message.content
    plain = client.chat.completions.with_raw_response.create(model=MODEL, **GREEDY, max_tokens=2)
    assert "x-freehold-not-honoured" not in plain.headers


@MESSAGES.works("what would not change the answer: `metadata`, `cache_control`, …", NAMED)
def test_messages_name(claude: Anthropic) -> None:
    raw = claude.messages.with_raw_response.create(
        model=MODEL, messages=ASK, max_tokens=2, metadata={"user_id": "u"}, cache_control={"type": "ephemeral"}
    )
    assert raw.headers["x-freehold-not-honoured"] == "cache_control, metadata"
    assert raw.parse().content
