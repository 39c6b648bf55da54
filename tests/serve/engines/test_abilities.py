"""What an engine's options and chat template say of it."""

from typing import Any

import pytest

from freehold.serve.config import ProcessEngine
from freehold.serve.engines.abilities import engine_abilities


@pytest.mark.parametrize(
    ("options", "template", "abilities"),
    [
        ({}, "{{ messages }}", set()),
        ({"reasoning_parser": "qwen3"}, "", {"reasoning"}),
        ({}, "{% if enable_thinking %}", {"reasoning"}),
        ({}, "{{ reasoning_effort }}", {"reasoning"}),
        ({"extra_args": ("--tool-server", "demo")}, "", {"tool-server"}),
        ({"extra_args": ("--tool-server=demo",)}, "", {"tool-server"}),
        ({"env": {"VLLM_ENABLE_RESPONSES_API_STORE": "1"}}, "", {"response-store"}),
        ({"env": {"VLLM_ENABLE_RESPONSES_API_STORE": "0"}}, "", set()),
    ],
)
def test_abilities(options: dict[str, Any], template: str, abilities: set[str]) -> None:
    assert engine_abilities(ProcessEngine(**options), template) == abilities
