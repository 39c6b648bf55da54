"""What the gateway refuses or names, and that the list of it is neither too long nor too short."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from anthropic.types import message_count_tokens_params, message_create_params
from anthropic.types.beta import message_count_tokens_params as beta_count_tokens_params
from anthropic.types.beta import message_create_params as beta_message_create_params
from openai.types import completion_create_params, embedding_create_params
from openai.types.chat import completion_create_params as chat_create_params
from openai.types.responses import response_create_params

from freehold.serve.gateway.errors import RequestError
from freehold.serve.gateway.parameters import (
    check_parameters,
    not_honoured_line,
    rules,
    unread_fields,
)

CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
SDK_TYPES: dict[str, tuple[type, ...]] = {
    CHAT: (
        chat_create_params.CompletionCreateParamsNonStreaming,
        chat_create_params.CompletionCreateParamsStreaming,
    ),
    "/v1/completions": (
        completion_create_params.CompletionCreateParamsNonStreaming,
        completion_create_params.CompletionCreateParamsStreaming,
    ),
    "/v1/embeddings": (embedding_create_params.EmbeddingCreateParams,),
    RESPONSES: (
        response_create_params.ResponseCreateParamsNonStreaming,
        response_create_params.ResponseCreateParamsStreaming,
    ),
    MESSAGES: (
        message_create_params.MessageCreateParamsNonStreaming,
        message_create_params.MessageCreateParamsStreaming,
        beta_message_create_params.MessageCreateParamsNonStreaming,
    ),
    "/v1/messages/count_tokens": (
        message_count_tokens_params.MessageCountTokensParams,
        beta_count_tokens_params.MessageCountTokensParams,
    ),
}
HEADERS = {"betas"}
"""Arguments of the SDKs that never are in a body."""


def _sdk_parameters(path: str) -> set[str]:
    return {name for each in SDK_TYPES[path] for name in each.__annotations__} - HEADERS


def _refused(path: str, **fields: Any) -> RequestError:
    with pytest.raises(RequestError) as refused:
        check_parameters(path, {"model": "m", **fields})
    return refused.value


@pytest.mark.parametrize(
    ("path", "fields", "param"),
    [
        (CHAT, {"modalities": ["text", "audio"]}, "modalities"),
        (CHAT, {"audio": {"voice": "alloy", "format": "wav"}}, "audio"),
        (CHAT, {"web_search_options": {}}, "web_search_options"),
        (CHAT, {"verbosity": "low"}, "verbosity"),
        (CHAT, {"functions": [{"name": "f"}]}, "functions"),
        (CHAT, {"function_call": {"name": "f"}}, "function_call"),
        ("/v1/completions", {"best_of": 3}, "best_of"),
        (RESPONSES, {"conversation": "conv_1"}, "conversation"),
        (RESPONSES, {"text": {"verbosity": "high"}}, "text.verbosity"),
        (RESPONSES, {"tools": [{"type": "function"}, {"type": "web_search"}]}, "tools[1].type"),
        (RESPONSES, {"tools": [{"type": "custom", "format": {"type": "grammar"}}]}, "tools[0].format.type"),
        (RESPONSES, {"tool_choice": {"type": "allowed_tools"}}, "tool_choice.type"),
        (MESSAGES, {"container": "c"}, "container"),
        (MESSAGES, {"mcp_servers": [{"url": "http://x"}]}, "mcp_servers"),
        (MESSAGES, {"inference_geo": "us"}, "inference_geo"),
        (MESSAGES, {"tools": [{"name": "a"}, {"type": "web_search_20250305"}]}, "tools[1].type"),
        (
            MESSAGES,
            {"messages": [{"content": "x"}, {"content": [{"type": "tool_result", "content": [{"type": "document"}]}]}]},
            "messages[1].content[0].content[0].type",
        ),
    ],
)
def test_what_would_change_the_answer_is_refused_by_name(path: str, fields: dict[str, Any], param: str) -> None:
    error = _refused(path, **fields)
    assert (error.http_status, error.code, error.param) == (400, "unsupported_parameter", param)
    assert f"'{param}'" in str(error) and error.why and error.next_step.startswith("Leave it out")


def test_the_refusal_says_what_would_be_accepted() -> None:
    error = _refused(CHAT, verbosity="low")
    assert str(error) == "The parameter 'verbosity' \"low\" is not supported: open-weight models have no such control"
    assert error.next_step == 'Leave it out or send "medium".'


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        (CHAT, {"messages": [], "temperature": 0, "stream": True}),
        (CHAT, {"modalities": ["text"], "audio": None, "verbosity": "medium", "function_call": "auto"}),
        (CHAT, {"store": False, "service_tier": "auto", "metadata": {}, "user": None}),
        (CHAT, {"never_heard_of": {"a": 1}, "top_k": 3}),
        (RESPONSES, {"tools": [{"type": "function"}, "odd", {}], "tool_choice": "auto", "text": {"format": {}}}),
        (RESPONSES, {"include": ["message.output_text.logprobs"], "reasoning": {"effort": "none"}}),
        (MESSAGES, {"tools": [{"name": "a"}, {"type": "custom"}], "speed": "standard"}),
        (MESSAGES, {"messages": [{"content": [{"type": "tool_result", "content": "x"}, {"type": "text"}]}, 7]}),
        ("/v1/rerank", {"verbosity": "low"}),
    ],
)
def test_what_asks_for_nothing_passes_unnamed(path: str, fields: dict[str, Any]) -> None:
    assert check_parameters(path, {"model": "m", **fields}) == ()


@pytest.mark.parametrize(
    ("path", "fields", "hints"),
    [
        (CHAT, {"user": "u", "service_tier": "priority", "store": True}, ("service_tier", "store", "user")),
        (CHAT, {"prediction": {"type": "content", "content": "x"}}, ("prediction",)),
        (RESPONSES, {"include": ["reasoning.encrypted_content", "computer"]}, ("include[]",)),
        (RESPONSES, {"reasoning": {"effort": "high", "summary": "auto"}}, ("reasoning.effort", "reasoning.summary")),
        (
            MESSAGES,
            {"metadata": {"user_id": "u"}, "cache_control": {"type": "ephemeral"}},
            ("cache_control", "metadata"),
        ),
        ("/v1/messages/count_tokens", {"speed": "fast"}, ("speed",)),
    ],
)
def test_what_would_not_change_the_answer_passes_and_is_named(
    path: str, fields: dict[str, Any], hints: tuple[str, ...]
) -> None:
    assert check_parameters(path, {"model": "m", **fields}) == hints


def test_the_header_names_the_hints() -> None:
    assert not_honoured_line(("service_tier", "store")) == b"x-freehold-not-honoured: service_tier, store\r\n"


@pytest.mark.parametrize(
    ("ability", "path", "fields"),
    [
        ("reasoning", CHAT, {"reasoning_effort": "high"}),
        ("reasoning", MESSAGES, {"output_config": {"effort": "high"}}),
        ("tool-server", RESPONSES, {"tools": [{"type": "web_search_preview"}]}),
        ("response-store", RESPONSES, {"store": True}),
    ],
)
def test_what_the_engine_is_able_to_do_is_not_held_against_it(ability: str, path: str, fields: dict[str, Any]) -> None:
    assert check_parameters(path, fields, frozenset({ability})) == ()
    try:
        assert check_parameters(path, fields, frozenset({"another"})) != ()
    except RequestError as error:
        assert error.param


def test_every_rule_is_about_a_parameter_that_a_client_can_send() -> None:
    assert rules().keys() == SDK_TYPES.keys()
    for path, listed in rules().items():
        unknown = {rule.parameter for rule in listed if rule.steps[0] not in _sdk_parameters(path)}
        assert not unknown, f"{path}: the SDKs do not know {sorted(unknown)}; drop them from parameters.yaml"


@pytest.mark.engine
@pytest.mark.timeout(300)
def test_the_list_is_what_the_sdks_send_and_vllm_ignores() -> None:
    script = Path(__file__).with_name("engine_parameters.py")
    ended = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    engine = json.loads(ended.stdout.splitlines()[-1])["paths"]
    for path, listed in rules().items():
        fields, read = set(engine[path]["fields"]), set(engine[path]["read"])
        ignored = {rule.parameter for rule in listed if len(rule.steps) == 1 and not rule.needs}
        unlisted = _sdk_parameters(path) - fields - ignored
        assert not unlisted, f"{path}: vLLM ignores {sorted(unlisted)}; add them to parameters.yaml"
        honoured = (ignored & fields) - unread_fields()[path]
        assert not honoured, f"{path}: vLLM has got fields {sorted(honoured)}; drop them, or list them as unread"
        dropped = unread_fields()[path] - fields
        assert not dropped, f"{path}: {sorted(dropped)} are no fields of vLLM's; drop them from unread"
        used = unread_fields()[path] & read
        assert not used, f"{path}: vLLM reads {sorted(used)} by now; drop them from parameters.yaml"
