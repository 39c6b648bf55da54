"""What a request begins with, as hashes: requests that begin alike should meet where that was read before.

The parsed body is at hand, so this costs a CRC over the first characters of two texts. Two prompts with the same CRC
share a place, and nothing else comes of it.
"""

import zlib
from collections.abc import Iterable
from typing import Any

from freehold.serve.engines.policies import ANY, Wish
from freehold.serve.gateway.endpoints import Endpoint
from freehold.serve.gateway.request import RelayedRequest

CHARACTERS = 2048
"""Of a system prompt, and of a first message. Prompts that differ only later are not told apart."""
PROMPT_CHARACTERS = 512
"""Of a plain prompt: what counts for a system prompt, since it has none."""
BYTES_PER_TOKEN = 4
ANSWER_TOKENS = 256
"""Expected where the request does not ask for fewer."""
_SYSTEM = ("system", "developer")


def wish_of(request: RelayedRequest | None, adapter: str | None) -> Wish:
    """What the request begins with, whatever its dialect; `adapter` is the name of the one that it asks for."""
    if request is None or not request.document:
        return ANY
    document = request.document
    tokens = len(request.body) // BYTES_PER_TOKEN + _answer_tokens(request.endpoint, document)
    found = _beginning(document) if request.endpoint.generates else None
    if found is None:
        return Wish(tokens)
    return Wish(tokens, *found, None if adapter is None else zlib.crc32(adapter.encode()))


def _beginning(document: dict[str, Any]) -> tuple[int, int] | None:
    """Hashes of system prompt and first message, in the forms of all dialects; None where there is neither."""
    messages = document["messages"] if "messages" in document else document.get("input")
    if messages is not None:
        before = _hash(document.get("system") or document.get("instructions"))
        if isinstance(messages, list):
            return _of_messages(messages, before)
        return before, _hash(messages, before)
    prompt: Any = document.get("prompt")
    if isinstance(prompt, list) and prompt and not isinstance(prompt[0], int):
        prompt = prompt[0]
    if isinstance(prompt, list):
        prompt = " ".join(map(str, prompt[:PROMPT_CHARACTERS]))
    return (_hash(prompt[:PROMPT_CHARACTERS]), _hash(prompt)) if isinstance(prompt, str) else None


def _of_messages(messages: Iterable[Any], prompt: int) -> tuple[int, int]:
    for message in messages:
        if not isinstance(message, dict):
            continue
        if message.get("role") not in _SYSTEM:
            return prompt, _hash(message.get("content"), prompt)
        prompt = _hash(message.get("content"), prompt)
    return prompt, prompt


def _hash(content: Any, before: int = 0) -> int:
    """Of a text, or of a message's parts."""
    if isinstance(content, list):
        for part in content:
            before = _hash(next(iter(_texts(part)), ""), before)
        return before
    if not isinstance(content, str):
        return before
    return zlib.crc32(content[:CHARACTERS].encode("utf-8", "surrogatepass"), before)


def _texts(part: Any) -> Iterable[str]:
    """What a part of a message says or shows: a text, or a URL, which may be the data itself."""
    if isinstance(part, str):
        yield part
    elif isinstance(part, dict):
        for value in part.values():
            if isinstance(value, str) and value != part.get("type"):
                yield value
            elif isinstance(value, dict):
                yield from _texts(value)


def _answer_tokens(endpoint: Endpoint, document: dict[str, Any]) -> int:
    if not endpoint.generates:
        return 0
    for name in ("max_completion_tokens", "max_tokens", "max_output_tokens"):
        asked = document.get(name)
        if isinstance(asked, int) and 0 <= asked < ANSWER_TOKENS:
            return asked
    return ANSWER_TOKENS
