"""Which strings of a request or an answer are content, and how all of them are redacted, or none.

Everything is content but the API's own words: roles, types, identifiers. Inside of what a program wrote for a program
(a tool's arguments, metadata) everything is, names and long numbers too.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from freehold.core.errors import IntegrityError
from freehold.serve.recording.media import STUB

RedactText = Callable[[str], tuple[str, Mapping[str, str]]]
"""A text with its personal data replaced, and what those were: the entity's name by value."""

_WORDS = {"object", "type", "model", "role", "status", "finish_reason", "stop_reason", "service_tier"}
_IDS = {"tool_call_id", "tool_use_id", "call_id", "item_id", "response_id", "previous_response_id", "request_id"}
_STRUCTURAL = _WORDS | _IDS | {"id", "system_fingerprint"}
_IDENTIFIER = re.compile(r"[A-Za-z][\w.:/+-]{0,255}")
"""What a structural field holds; anything else there is content in disguise."""
_FREE = frozenset(("arguments", "metadata", "parsed"))
_SHORTEST_NUMBER = 10**6
_SHORTEST_LEFTOVER = 6
"""Values shorter than this may stand anywhere by chance."""


class RedactionFailed(IntegrityError):
    """Personal data is still there after redaction; the record must not be written."""


def redact_document(document: dict[str, Any], redact: RedactText) -> dict[str, Any]:
    """The document without personal data. Raises RedactionFailed if a value that was found stands elsewhere in it."""
    walk = _Walk(redact)
    result = walk.value(document)
    if _leftovers(result, walk.found):
        # The same value in a place where its pattern does not match, a part of a longer word for example.
        found = walk.found
        result = _Walk(lambda text: (_replace_all(text, found), {})).value(result)
    if leftovers := _leftovers(result, walk.found):
        raise RedactionFailed(
            "A record was not redacted",
            why=f"{len(leftovers)} value(s) that were found in its content stand in its structural fields too",
        )
    assert isinstance(result, dict), "a document stays an object"
    return result


def _leftovers(document: Any, found: Mapping[str, str]) -> list[str]:
    if not found:
        return []
    text = json.dumps(document, ensure_ascii=False)
    return [
        value
        for value in found
        if len(value) >= _SHORTEST_LEFTOVER and json.dumps(value, ensure_ascii=False)[1:-1] in text
    ]


def _replace_all(text: str, found: Mapping[str, str]) -> str:
    # Longest first: one value may be the beginning of another.
    for value in sorted(found, key=len, reverse=True):
        if len(value) >= _SHORTEST_LEFTOVER:
            text = text.replace(value, f"<{found[value]}>")
    return text


class _Walk:
    def __init__(self, redact: RedactText) -> None:
        self.found: dict[str, str] = {}
        self._redact = redact

    def value(self, value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            # Only in Anthropic's `tool_use` is `input` an object.
            if key in _FREE or key == "input":
                return self._free(value)
            return {name: self.value(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [self.value(item, key) for item in value]
        if not isinstance(value, str) or (key in _STRUCTURAL and _IDENTIFIER.fullmatch(value)):
            return value
        return self._json_text(value) if key in _FREE else self._text(value)

    def _free(self, value: Any) -> Any:
        """What a program wrote: nothing in it is structure."""
        if isinstance(value, dict):
            return {self._text(name): self._free(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self._free(item) for item in value]
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= _SHORTEST_NUMBER:
            digits = str(value)
            return value if (text := self._text(digits)) == digits else text
        return self._text(value) if isinstance(value, str) else value

    def _json_text(self, text: str) -> str:
        """A tool's arguments: JSON in a string. Escapes would hide what is in it, and it should stay JSON."""
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            return self._text(text)
        redacted = self._free(document)
        return text if redacted == document else json.dumps(redacted, ensure_ascii=False)

    def _text(self, text: str) -> str:
        if STUB.fullmatch(text):
            return text
        redacted, found = self._redact(text)
        self.found.update(found)
        return redacted
