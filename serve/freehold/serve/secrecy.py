"""What a secret looks like, and how it is taken out of a text or a value that is about to be written down."""

import re
from collections.abc import Mapping
from typing import Any

REDACTED = "[redacted]"

_SECRETS: tuple[tuple[re.Pattern[str], str], ...] = (
    # Whole headers first: what stands in them need not look like a secret.
    (
        re.compile(
            r"(?i)\b((?:proxy-)?authorization|x-api-key|cookie)((?:['\"]?\s*[:=]|['\"]\s*,)\s*(?:b?['\"])?)[^'\"\r\n]+"
        ),
        rf"\1\2{REDACTED}",
    ),
    (re.compile(r"(?i)\b(bearer)\s+[^\s'\"]+"), rf"\1 {REDACTED}"),
    # `fh-` and 16 hex digits is `system_fingerprint`, which is no secret.
    (re.compile(r"\bfh-(?![0-9a-f]{16}(?![\w-]))[\w-]{8,}", re.ASCII), REDACTED),
    (re.compile(r"\bsk-[\w-]{8,}", re.ASCII), REDACTED),
    (re.compile(r"\bhf_[A-Za-z0-9]{16,}"), REDACTED),
    (re.compile(r"(?<=://)[^/\s:@'\"]*:[^/\s@'\"]+(?=@)"), REDACTED),
    (re.compile(r"((?:\w://|/)[^\s?'\"<>]*)\?[^\s'\"<>]+"), rf"\1?{REDACTED}"),
)

_SECRET_WORDS = ("secret", "authorization", "password", "passwd", "credential", "cookie")
_SECRET_ENDINGS = ("key", "token")
"""At a name's end only: `key_id` and `tokens_per_minute` are what an auditor asks for."""


def scrub(text: str) -> str:
    """The text without keys, bearer tokens, credential headers, passwords in URLs, and URLs' query strings."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def is_secret_name(name: str) -> bool:
    """Whether a value under this name (`api_key`, `apiKey`, `client-secret`) must not be written down."""
    folded = name.lower()
    return any(word in folded for word in _SECRET_WORDS) or folded.endswith(_SECRET_ENDINGS)


def without_secrets(value: Any, name: str = "") -> Any:
    """A JSON value with whatever stands under a secret's name, or looks like one, replaced."""
    if name and is_secret_name(name) and value is not None:
        return REDACTED
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(key): without_secrets(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [without_secrets(item) for item in value]
    return scrub(str(value))
