"""Images, sounds and files leave a record: their digest stays."""

import base64
import binascii
import hashlib
import re
from typing import Any

LIMIT = 1024
"""Characters of base64 that are kept as they are: an icon, a test picture."""

STUB = re.compile(r"freehold-media:[\w.+/-]{1,127}:\d+:sha256:[0-9a-f]{64}", re.ASCII)
"""`freehold-media:<type>:<bytes>:sha256:<hex>`, the digest being that of the decoded bytes."""

_DATA_URL = re.compile(r"data:(?P<type>[^;,]{0,200})(?:;[^;,]{1,200})*;base64,", re.IGNORECASE)
_TYPE = re.compile(r"[\w.+-]{1,60}/[\w.+-]{1,60}", re.ASCII)
_BASE64 = re.compile(r"[A-Za-z0-9+/_\-\r\n]+={0,2}\s*")
_STANDARD_ALPHABET = str.maketrans("-_", "+/")
_BARE_FIELDS = ("data", "file_data", "b64_json", "partial_image_b64", "result")
"""Where an API puts base64 without a `data:` before it."""
_UNKNOWN_TYPE = "application/octet-stream"


def without_media(value: Any) -> tuple[Any, int]:
    """The document with its large media replaced by stubs, and how many those were."""
    replaced = _Replaced()
    return replaced.walk(value, ""), replaced.count


class _Replaced:
    def __init__(self) -> None:
        self.count = 0

    def walk(self, value: Any, key: str) -> Any:
        if isinstance(value, dict):
            return {name: self.walk(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [self.walk(item, key) for item in value]
        if isinstance(value, str) and len(value) > LIMIT:
            return self._text(value, key)
        return value

    def _text(self, value: str, key: str) -> str:
        opening = _DATA_URL.match(value)
        if opening is not None:
            kind = opening["type"] if _TYPE.fullmatch(opening["type"]) else _UNKNOWN_TYPE
            encoded = value[opening.end() :]
        elif key in _BARE_FIELDS and _BASE64.fullmatch(value):
            kind, encoded = _UNKNOWN_TYPE, value
        else:
            return value
        self.count += 1
        content = _decoded(encoded)
        return f"freehold-media:{kind}:{len(content)}:sha256:{hashlib.sha256(content).hexdigest()}"


def _decoded(encoded: str) -> bytes:
    """The bytes; those of the text itself if it is no base64 after all."""
    try:
        return base64.b64decode(encoded.translate(_STANDARD_ALPHABET).encode())
    except (binascii.Error, ValueError):
        return encoded.encode("utf-8", "replace")
