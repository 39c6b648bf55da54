"""Tokens and money: what a request may use, and what it used."""

import json
from dataclasses import dataclass
from typing import Any

from freehold.evaluate.results.record import Usage
from freehold.evaluate.targets.endpoint import Prices

BYTES_A_TOKEN = 2
"""Cautious: prose has about four bytes a token, source code and digits two to three."""
MEDIUM_TOKENS = 1500
"""Counted for an image or a sound, whatever its size."""
MESSAGE_TOKENS = 8
"""What a chat template puts around a message."""


@dataclass(frozen=True)
class Amount:
    """Tokens, and money where a price is known."""

    tokens: int = 0
    money: float = 0.0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.tokens + other.tokens, self.money + other.money)

    def __sub__(self, other: "Amount") -> "Amount":
        return Amount(self.tokens - other.tokens, self.money - other.money)

    def times(self, count: int) -> "Amount":
        return Amount(self.tokens * count, self.money * count)


def cost(usage: Usage, prices: Prices | None) -> float | None:
    """In the suite's currency; None where no price is known."""
    if prices is None:
        return None
    cached = min(usage.cached, usage.prompt)
    read = cached * (prices.input if prices.cached is None else prices.cached)
    return (read + (usage.prompt - cached) * prices.input + usage.completion * prices.output) / 1e6


def used(usage: Usage, prices: Prices | None) -> Amount:
    """What an answer cost."""
    return Amount(usage.prompt + usage.completion, cost(usage, prices) or 0.0)


def longest_answer(body: dict[str, Any]) -> int | None:
    """Most tokens that a request lets the answer have; None where it says nothing."""
    given = [body.get(name) for name in ("max_completion_tokens", "max_tokens")]
    return next((value for value in given if isinstance(value, int)), None)


def at_most(body: dict[str, Any], prices: Prices | None) -> Amount:
    """What a request may use, guessed from its bytes and the most that it lets the answer have."""
    prompt = prompt_tokens(body)
    return used(Usage(prompt=prompt, completion=longest_answer(body) or 0), prices)


def prompt_tokens(body: dict[str, Any]) -> int:
    """A cautious guess at the prompt's tokens."""
    count = 0
    for message in body.get("messages", ()):
        content = message.get("content")
        parts = content if isinstance(content, list) else [content]
        media = [part for part in parts if isinstance(part, dict) and part.get("type") != "text"]
        texts = [part for part in parts if part not in media]
        count += MESSAGE_TOKENS + len(media) * MEDIUM_TOKENS
        count += _bytes([texts, message.get("tool_calls")]) // BYTES_A_TOKEN
    rest = {name: body[name] for name in ("tools", "input", "response_format") if name in body}
    return count + (_bytes(rest) // BYTES_A_TOKEN if rest else 0)


def _bytes(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))
