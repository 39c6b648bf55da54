"""The digest of training data: what was learnt from, whatever file or format it was in."""

import hashlib
import json
from dataclasses import fields

from freehold.core.dataset.examples import Example


def canonical(example: Example) -> bytes:
    """The example as bytes that are equal for equal content: its origin left out, keys sorted."""
    content = {field.name: getattr(example, field.name) for field in fields(example) if field.name != "origin"}
    document = [type(example).__name__, content]
    # A lone surrogate, which JSON can escape, has no UTF-8.
    return json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "surrogatepass"
    )


class Digest:
    """SHA-256 over examples in their order."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, example: Example) -> None:
        content = canonical(example)
        self._hash.update(len(content).to_bytes(8, "big") + content)

    def value(self) -> str:
        return self._hash.hexdigest()
