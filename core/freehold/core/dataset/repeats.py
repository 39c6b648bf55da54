"""Examples that were seen before: duplicates in one set, leakage between two. Bounded memory: hashes, no texts."""

import hashlib
import unicodedata
from collections.abc import Iterator
from typing import Any, Literal

from freehold.core.dataset.digest import canonical
from freehold.core.dataset.examples import Conversation, Example, Judged, Message, Origin, PlainText, Preference

Sameness = Literal["same", "nearly the same"]

_PUNCTUATION = str.maketrans(dict.fromkeys(".,;:!?\"'()[]{}…–—“”‘’„`*_", " "))
_LINE_BITS, _EXACT_BITS = 40, 16


class Seen:
    """Examples by hash, about 100 bytes each. The first one of its kind is remembered with its origin."""

    def __init__(self) -> None:
        self._sources: list[str] = []
        self._examples: dict[int, int] = {}
        self._prompts: dict[int, int] = {}

    def find(self, example: Example) -> tuple[Origin, Sameness] | None:
        """An earlier example with the same content, or one that differs in case, space and punctuation alone."""
        packed = self._examples.get(_hash(_normalised(_texts(example))))
        if packed is None:
            return None
        is_same = packed & _mask(_EXACT_BITS) == _exact(example)
        return self._origin(packed >> _EXACT_BITS), "same" if is_same else "nearly the same"

    def find_prompt(self, example: Example) -> Origin | None:
        """An earlier example with nearly the same prompt, whatever was answered."""
        prompt = _prompt(example)
        packed = None if prompt is None else self._prompts.get(_hash(prompt))
        return None if packed is None else self._origin(packed)

    def add(self, example: Example, *, prompts: bool = False) -> None:
        """Remember it; with `prompts`, for `find_prompt` too."""
        place = self._packed(example.origin)
        self._examples.setdefault(_hash(_normalised(_texts(example))), place << _EXACT_BITS | _exact(example))
        if prompts and (prompt := _prompt(example)) is not None:
            self._prompts.setdefault(_hash(prompt), place)

    def _packed(self, origin: Origin) -> int:
        if not self._sources or self._sources[-1] != origin.source:
            self._sources.append(origin.source)
        return (len(self._sources) - 1) << _LINE_BITS | origin.line

    def _origin(self, packed: int) -> Origin:
        return Origin(self._sources[packed >> _LINE_BITS], packed & _mask(_LINE_BITS))


def subject(example: Example) -> str:
    """What is asked, whatever was answered: the prompt, or a plain text itself, but for case and punctuation."""
    return _prompt(example) or _normalised(_texts(example))


def _mask(bits: int) -> int:
    return (1 << bits) - 1


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def _exact(example: Example) -> int:
    return int.from_bytes(hashlib.blake2b(canonical(example), digest_size=_EXACT_BITS // 8).digest(), "big")


def _normalised(texts: Iterator[str]) -> str:
    joined = " \x1f ".join(texts)
    return " ".join(unicodedata.normalize("NFKC", joined).casefold().translate(_PUNCTUATION).split())


def _texts(example: Example) -> Iterator[str]:
    match example:
        case PlainText():
            yield example.text
        case Conversation():
            yield from _message_texts(example.messages)
        case Preference():
            yield from _message_texts((*example.prompt, *example.chosen, *example.rejected))
        case Judged():
            yield from _message_texts((*example.prompt, *example.answer))
            yield str(example.desirable)


def _message_texts(messages: tuple[Message, ...]) -> Iterator[str]:
    for message in messages:
        yield message["role"]
        yield message["content"]
        for call in message.get("tool_calls", ()):
            yield _call_text(call)


def _call_text(call: dict[str, Any]) -> str:
    return f"{call['function']['name']} {sorted(call['function']['arguments'].items())}"


def _prompt(example: Example) -> str | None:
    """What precedes the first answer, normalised; None for plain text."""
    if isinstance(example, PlainText):
        return None
    if isinstance(example, Conversation):
        roles = [message["role"] for message in example.messages]
        messages = example.messages[: roles.index("assistant")]
    else:
        messages = example.prompt
    return _normalised(_message_texts(tuple(messages))) or None
