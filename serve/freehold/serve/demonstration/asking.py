"""Asking the gateway as an application does: the unmodified `openai` client, streaming."""

import time
from dataclasses import dataclass

MAX_TOKENS = 64


@dataclass(frozen=True)
class Answer:
    """One streamed answer and its timing."""

    text: str
    completion_tokens: int
    first_token_s: float
    """From sending the request to the first token."""
    tokens_per_s: float
    """Decoding speed after the first token."""
    fingerprint: str


async def ask(base_url: str, model: str, question: str) -> Answer:
    """Ask through the unmodified `openai` client, streaming."""
    from openai import AsyncOpenAI

    async with AsyncOpenAI(base_url=f"{base_url}/v1", api_key="none") as client:
        began = time.perf_counter()
        first = began
        parts: list[str] = []
        tokens, fingerprint = 0, ""
        stream = await client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": question}],
            max_tokens=MAX_TOKENS,
            temperature=0,
            stream=True,
            stream_options={"include_usage": True},
        )
        async for chunk in stream:
            fingerprint = chunk.system_fingerprint or fingerprint
            tokens = chunk.usage.completion_tokens if chunk.usage else tokens
            text = chunk.choices[0].delta.content if chunk.choices else None
            if text:
                first = first if parts else time.perf_counter()
                parts.append(text)
        ended = time.perf_counter()
    rate = (tokens - 1) / (ended - first) if tokens > 1 else 0.0
    return Answer("".join(parts), tokens, first - began, rate, fingerprint)
