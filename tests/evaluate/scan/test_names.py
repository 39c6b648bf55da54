"""Names of closed models: those of the SDKs and the catalogue are known, their look-alikes are not."""

from typing import Any, get_args

import pytest
from anthropic.types.model import Model
from openai.types.audio_model import AudioModel
from openai.types.embedding_model import EmbeddingModel
from openai.types.image_model import ImageModel
from openai.types.shared.all_models import AllModels

from freehold.core.manifest import load_catalogue
from freehold.core.plan.closed import closed_models
from freehold.evaluate.scan.conclude.candidates import base_name, known_as
from freehold.evaluate.scan.knowledge import ClosedNames, find_endpoints

NAMES = ClosedNames()


def _literals(kind: Any) -> set[str]:
    if isinstance(kind, str):
        return {kind}
    return {name for each in get_args(kind) for name in _literals(each)}


@pytest.mark.parametrize("kind", [AllModels, EmbeddingModel, ImageModel, AudioModel, Model])
def test_every_name_in_the_sdks_is_known(kind: Any) -> None:
    names = _literals(kind)
    assert names
    assert {name for name in names if NAMES.recognise(name) is None} == set()


def test_every_name_in_the_catalogue_is_known() -> None:
    assert {name for name in closed_models() if NAMES.recognise(name) is None} == set()


def test_every_model_that_a_manifest_is_held_against_is_known() -> None:
    names = {each.model for manifest in load_catalogue() for each in manifest.replaces}
    assert {name for name in names if NAMES.recognise(name) is None} == set()


def test_no_open_model_is_taken_for_a_closed_one() -> None:
    taken = {manifest.id for manifest in load_catalogue() if NAMES.recognise(manifest.id)}
    assert taken == set()


@pytest.mark.parametrize(
    ("written", "name", "provider"),
    [
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini-2024-07-18", "openai"),
        ("openai/gpt-4o", "gpt-4o", "openai"),
        ("azure:gpt-4o", "gpt-4o", "openai"),
        ("openrouter/anthropic/claude-3.5-sonnet", "claude-3.5-sonnet", "anthropic"),
        ("bedrock/us.anthropic.claude-3-haiku-20240307-v1:0", "us.anthropic.claude-3-haiku-20240307-v1:0", "anthropic"),
        ("models/gemini-1.5-flash-002", "gemini-1.5-flash-002", "google"),
        ("ft:gpt-4o-mini-2024-07-18:org::abc", "ft:gpt-4o-mini-2024-07-18:org::abc", "openai"),
        ("GPT-4o", "GPT-4o", "openai"),
        ("claude-3-5-sonnet-v2@20241022", "claude-3-5-sonnet-v2@20241022", "anthropic"),
    ],
)
def test_a_name_is_known_however_it_is_written(written: str, name: str, provider: str) -> None:
    found = NAMES.recognise(written)
    assert found is not None
    assert (found.name, found.provider) == (name, provider)


@pytest.mark.parametrize(
    "text",
    [
        "gpt-oss-20b",
        "gpt-neox-20b",
        "gpt-tokenizer",
        "gpt-engineer",
        "claude-code",
        "claude-desktop",
        "gemini-cli",
        "gpt-4 and more",
        "gpt-4.yaml",
        "mistral-7b-instruct",
        "mistral-small-3.2-24b-instruct-2506",
        "codestral-22b-v0.1",
        "grok-1",
        "embed-text",
        "command-line",
        "rerank-results",
        "text-embedding",
        "davinci-resolve",
        "sora",
        "",
        "x" * 5000,
    ],
)
def test_what_looks_like_one_is_none(text: str) -> None:
    assert NAMES.recognise(text) is None


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("anthropic.claude-3-5-sonnet-20241022-v2:0", "claude-3-5-sonnet"),
        ("us.anthropic.claude-opus-4-1-20250805-v1:0", "claude-opus-4-1"),
        ("claude-3-5-haiku-latest", "claude-3-5-haiku"),
        ("ft:gpt-4.1-mini-2025-04-14:org::id", "gpt-4.1-mini"),
        ("gpt-4-0613", "gpt-4-0613"),
    ],
)
def test_the_name_without_its_dress(name: str, base: str) -> None:
    assert base_name(name) == base


def test_a_dated_name_is_that_of_the_catalogue() -> None:
    assert known_as("gpt-4o-mini-2024-07-18") == "gpt-4o-mini"
    assert known_as("nobody-knows") == ""


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("https://api.openai.com/v1/chat/completions", "api.openai.com/v1/chat/completions"),
        ("https://user:secret@api.openai.com/v1?key=secret", "api.openai.com/v1"),
        ("https://ours.openai.azure.com/openai/deployments/x", "ours.openai.azure.com/openai/deployments/x"),
        ("https://{region}-aiplatform.googleapis.com/v1", "{region}-aiplatform.googleapis.com/v1"),
        ("wss://api.openai.com/v1/realtime", "api.openai.com/v1/realtime"),
        ("api.anthropic.com", "api.anthropic.com"),
        ("https://bedrock-runtime.eu-west-1.amazonaws.com", "bedrock-runtime.eu-west-1.amazonaws.com"),
    ],
)
def test_an_endpoint_is_told_without_its_secrets(text: str, value: str) -> None:
    assert [each.value for each in find_endpoints(text)] == [value]


@pytest.mark.parametrize(
    "text",
    [
        "https://platform.openai.com/docs",
        "https://openai.com",
        "https://docs.anthropic.com",
        "https://notapi.openai.com.evil.com",
        "http://localhost:8000/v1",
    ],
)
def test_other_addresses_are_none(text: str) -> None:
    assert find_endpoints(text) == []
