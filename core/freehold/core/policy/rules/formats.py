"""`formats`: in which formats weights may come."""

from collections.abc import Iterator
from datetime import datetime
from typing import ClassVar

from pydantic import Field

from freehold.core.policy.facts import Facts, Format
from freehold.core.policy.rules.rule import Rule


class FormatRule(Rule):
    """What was fetched counts, and so does what it became: an imported GGUF file is `gguf` and `safetensors`."""

    remedy: ClassVar[str] = "Take a repository, or a revision of it, that has the weights in a format that is allowed."

    allow: tuple[Format, ...] = Field(min_length=1)
    """`safetensors`, `gguf`, `pickle`, `other` (ONNX, H5 …), and `code` for Python that the repository brings."""

    def problems(self, facts: Facts, now: datetime) -> Iterator[str]:
        for link in facts.chain:
            if link.is_missing:
                yield f"{link.name} is not in the store, so its format is not known"
            elif refused := sorted(link.formats - set(self.allow)):
                yield f"{link.name} holds {', '.join(refused)}; allowed are {', '.join(self.allow)}"
