"""Asking what is served the prompts of a reference, through the gateway, as a client would."""

import json
import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx

from freehold.core.adapters.reference import ParityPrompt, ParityReference
from freehold.core.errors import EngineError

TOP_LOGPROBS = 20
"""vLLM's default `--max-logprobs`."""
TIMEOUT_S = 600.0
"""The first requests compile kernels on some engines."""
AT_ONCE = 4
"""Answers that are generated side by side. Log-probabilities of prompts are asked one by one: vLLM 0.32 with adapters
on a CPU dies of a RuntimeError when one batch holds such a request and any other (`LogitsProcessorWithLoRA`)."""

GREEDY = {
    "temperature": 0,
    # Engines take these from the model's generation_config.json otherwise; the reference was made without them.
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
}


@dataclass(frozen=True)
class ServedAnswer:
    """What is served says to one prompt."""

    prompt_token_ids: tuple[int, ...] | None
    """Tokens that the engine itself made of the messages; None for a raw prompt."""
    greedy: tuple[int, ...]
    """Its own continuation."""
    tuned: tuple[Mapping[int, float], ...]
    """Natural-log probabilities by token id at each reference position, teacher-forced."""
    base: tuple[Mapping[int, float], ...] | None
    """The same without the adapter; None for a merged model, which has no base to be asked."""


def measure(url: str, model: str, base_model: str | None, reference: ParityReference) -> tuple[ServedAnswer, ...]:
    """Ask every prompt, in the order of `reference.prompts`. Raises EngineError when one is not answered."""
    # No proxy from the environment: what is asked is on loopback.
    with httpx.Client(base_url=url, timeout=TIMEOUT_S, trust_env=False) as client:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            generated = list(pool.map(lambda prompt: _greedy(client, model, prompt), reference.prompts))
        return tuple(
            ServedAnswer(
                rendered,
                greedy,
                tuned=_forced(client, model, prompt),
                base=None if base_model is None else _forced(client, base_model, prompt),
            )
            for prompt, (rendered, greedy) in zip(reference.prompts, generated, strict=True)
        )


def failure(url: str, model: str) -> str:
    """Why a model or adapter is not served, by the gateway's `/ready`; empty when it did not fail to load."""
    with httpx.Client(base_url=url, timeout=TIMEOUT_S, trust_env=False) as client:
        try:
            found = client.get("/ready").json()["models"].get(model, {})
        except (httpx.HTTPError, ValueError, KeyError) as error:
            raise EngineError("The gateway does not say what it serves", why=str(error) or repr(error)) from error
    return str(found.get("detail")) if found.get("state") == "failed" else ""


def _greedy(client: httpx.Client, model: str, prompt: ParityPrompt) -> tuple[tuple[int, ...] | None, tuple[int, ...]]:
    body = {"model": model, "max_tokens": len(prompt.positions), "return_token_ids": True, **GREEDY}
    if prompt.messages is None:
        reply = _post(client, "/v1/completions", {**body, "prompt": list(prompt.prompt_token_ids)})
        return None, tuple(reply["choices"][0]["token_ids"])
    messages = [_on_the_wire(message) for message in prompt.messages]
    chat = {**body, "messages": messages} | ({"tools": list(prompt.tools)} if prompt.tools else {})
    # A tool parser would turn the answer into a call; its tokens are what is compared, and they stay the same.
    reply = _post(client, "/v1/chat/completions", chat)
    return tuple(reply["prompt_token_ids"]), tuple(reply["choices"][0]["token_ids"])


def _on_the_wire(message: Mapping[str, Any]) -> dict[str, Any]:
    """OpenAI's API has the arguments of a tool call as JSON in a string; the engine parses them again."""
    calls = message.get("tool_calls")
    if not calls:
        return dict(message)
    return {**message, "tool_calls": [{**call, "function": _with_text(call["function"])} for call in calls]}


def _with_text(function: Mapping[str, Any]) -> dict[str, Any]:
    arguments = function.get("arguments")
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return {**function, "arguments": text}


def _forced(client: httpx.Client, model: str, prompt: ParityPrompt) -> tuple[Mapping[int, float], ...]:
    body = {
        "model": model,
        "prompt": [*prompt.prompt_token_ids, *prompt.continuation],
        "max_tokens": 1,
        "prompt_logprobs": TOP_LOGPROBS,
        **GREEDY,
    }
    reply = _post(client, "/v1/completions", body)
    positions = reply["choices"][0]["prompt_logprobs"][len(prompt.prompt_token_ids) :]
    return tuple(_by_token(position) for position in positions)


def _by_token(position: Mapping[str, Mapping[str, float | None]]) -> dict[int, float]:
    # A broken kernel yields NaN, which JSON writers turn into null; NaN never passes the comparison.
    return {int(token): math.nan if (p := entry["logprob"]) is None else p for token, entry in position.items()}


def _post(client: httpx.Client, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    try:
        response = client.post(path, json=body)
    except httpx.HTTPError as error:
        raise EngineError("What is served did not answer the parity gate", why=str(error) or repr(error)) from error
    if response.status_code != httpx.codes.OK:
        raise EngineError(f"{body['model']} answered {response.status_code} to the parity gate", why=_reason(response))
    reply: dict[str, Any] = response.json()
    return reply


def _reason(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return response.text[:500]
