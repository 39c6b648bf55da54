"""Asks an engine how many tokens a prompt has, when a bound is not good enough."""

import json
from typing import Any

import msgspec

from freehold.serve.engines.engine import Engine
from freehold.serve.gateway.calls import EngineCalls
from freehold.serve.gateway.request import RelayedRequest

TIMEOUT_S = 5.0
_PASSED_ON = ("messages", "prompt", "tools", "chat_template", "chat_template_kwargs", "add_generation_prompt")


class Tokenizing:
    """vLLM's `POST /tokenize`, which renders the chat template as a completion would."""

    def __init__(self, calls: EngineCalls) -> None:
        self._calls = calls

    async def count(self, request: RelayedRequest, engine: Engine) -> int | None:
        """Tokens of the prompt; None where the engine cannot tell."""
        fields: dict[str, Any] = {name: request.document[name] for name in _PASSED_ON if name in request.document}
        if not fields or isinstance(fields.get("prompt"), list) or request.endpoint.path == "/v1/messages":
            return None
        body = json.dumps({"model": engine.upstream_model} | fields).encode()
        answer = await self._calls.post(engine, b"/tokenize", body, TIMEOUT_S)
        if answer is None or answer.status != 200:
            return None
        try:
            count = msgspec.json.decode(answer.body).get("count")
        except (msgspec.DecodeError, AttributeError):
            return None
        return count if isinstance(count, int) else None
