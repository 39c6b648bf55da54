"""The golden probe against a running engine, over its OpenAI API."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp

from freehold.core.errors import EngineError
from freehold.core.probe.compare import EngineAnswer, Verdict, compare
from freehold.core.store import ProbeReference
from freehold.core.store.lineage import PromptProbe

TOP_LOGPROBS = 20
"""vLLM's default `--max-logprobs`."""
TIMEOUT_S = 300.0
"""The first requests compile kernels on some engines."""


async def probe_engine(
    session: aiohttp.ClientSession, base_url: str, model: str, reference: ProbeReference, *, quantized_online: bool
) -> Verdict:
    """Ask the fixed prompts and compare. Raises EngineError if the engine does not answer them."""
    answers = [await _answer(session, base_url, model, prompt) for prompt in reference.prompts]
    return compare(reference, answers, quantized_online=quantized_online)


async def _answer(session: aiohttp.ClientSession, base_url: str, model: str, prompt: PromptProbe) -> EngineAnswer:
    rendered = None
    if prompt.messages is not None:
        rendered = await rendered_tokens(session, base_url, model, prompt.messages)
    continuation = [position.token_id for position in prompt.positions]
    return EngineAnswer(
        rendered, await forced_logprobs(session, base_url, model, prompt.prompt_token_ids, continuation)
    )


async def rendered_tokens(
    session: aiohttp.ClientSession,
    base_url: str,
    model: str,
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]] = (),
) -> tuple[int, ...]:
    """The tokens that the engine makes of a chat. Raises EngineError."""
    body = {"messages": list(messages), "max_tokens": 1, "temperature": 0, "return_token_ids": True}
    body |= {"tools": list(tools)} if tools else {}
    reply = await _post(session, f"{base_url}/v1/chat/completions", {"model": model} | body)
    return tuple(reply["prompt_token_ids"])


async def forced_logprobs(
    session: aiohttp.ClientSession, base_url: str, model: str, prompt: Sequence[int], continuation: Sequence[int]
) -> tuple[dict[int, float], ...]:
    """Log-probabilities by token at each place of a continuation that the engine is made to read.

    Raises EngineError.
    """
    body = {"prompt": [*prompt, *continuation], "max_tokens": 1, "temperature": 0, "prompt_logprobs": TOP_LOGPROBS}
    reply = await _post(session, f"{base_url}/v1/completions", {"model": model} | body)
    return tuple(_by_token(position) for position in reply["choices"][0]["prompt_logprobs"][len(prompt) :])


async def next_logprobs(
    session: aiohttp.ClientSession, base_url: str, model: str, before: Sequence[int], token_id: int
) -> dict[int, float]:
    """Log-probabilities of the most likely tokens after `before`, and of `token_id`. Raises EngineError.

    One step that generates, so it may stand in a batch with whatever else the engine does. `forced_logprobs` may not on
    a CPU: where adapters are enabled, vLLM 0.32 takes the rows of its prompt for those of the batch and ends
    (`PunicaWrapperCPU.add_lora_logits`).
    """
    body = {"prompt": list(before), "max_tokens": 1, "temperature": 0, "logprobs": TOP_LOGPROBS}
    # It changes what is sampled, and the log-probabilities are those from before; so the token is always told.
    body |= {"allowed_token_ids": [token_id], "return_tokens_as_token_ids": True}
    reply = await _post(session, f"{base_url}/v1/completions", {"model": model} | body)
    told = reply["choices"][0]["logprobs"]["top_logprobs"][0]
    return {int(name.removeprefix("token_id:")): math.nan if p is None else p for name, p in told.items()}


async def told_fingerprint(session: aiohttp.ClientSession, base_url: str, model: str) -> str:
    """What the engine calls itself in its answers; empty if it does not. Raises EngineError."""
    body = {"model": model, "prompt": "a", "max_tokens": 1, "temperature": 0}
    return str((await _post(session, f"{base_url}/v1/completions", body)).get("system_fingerprint") or "")


def _by_token(position: dict[str, dict[str, float | None]]) -> dict[int, float]:
    # A broken kernel yields NaN, which JSON writers turn into null; NaN never passes the comparison.
    return {int(token): math.nan if (p := entry["logprob"]) is None else p for token, entry in position.items()}


async def _post(session: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> dict[str, Any]:
    try:
        async with session.post(url, json=body, timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as response:
            if response.status != 200:
                raise EngineError(
                    f"The engine answered {response.status} when it was probed", why=error_text(await response.text())
                )
            reply: dict[str, Any] = await response.json()
            return reply
    except (aiohttp.ClientError, TimeoutError) as error:
        raise EngineError("The engine did not answer when it was probed", why=str(error) or repr(error)) from error


def error_text(body: str) -> str:
    """What an engine says is wrong: the message of OpenAI's error envelope, or the body's beginning."""
    try:
        return str(json.loads(body)["error"]["message"])[:500]
    except (ValueError, KeyError, TypeError):
        return body[:500]
