"""What a line of training data means, whatever format it was written in."""

from dataclasses import dataclass
from typing import Any

Message = dict[str, Any]
"""A chat message in OpenAI's shape: `role`, `content`, `tool_calls`, `tool_call_id`. Arguments of tool calls are
objects, not JSON in a string: that is what chat templates expect. `weight` 0 on an assistant message leaves it out of
the loss."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an example was read, for messages that name it."""

    source: str
    """Path of the file, or the name of what it was read from."""
    line: int
    """Counted from 1: line of the file, or number of the row."""

    def __str__(self) -> str:
        return f"{self.source}:{self.line}"


@dataclass(frozen=True, slots=True)
class Conversation:
    """A chat to learn the assistant's turns of."""

    origin: Origin
    messages: tuple[Message, ...]
    tools: tuple[dict[str, Any], ...] = ()
    """JSON schemas of the functions that the assistant could call, in OpenAI's shape."""


@dataclass(frozen=True, slots=True)
class PlainText:
    """Text to learn whole, without a chat around it."""

    origin: Origin
    text: str


@dataclass(frozen=True, slots=True)
class Preference:
    """Two answers to one prompt, the first better than the second."""

    origin: Origin
    prompt: tuple[Message, ...]
    chosen: tuple[Message, ...]
    rejected: tuple[Message, ...]
    tools: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Judged:
    """One answer to a prompt, and whether it was good (KTO)."""

    origin: Origin
    prompt: tuple[Message, ...]
    answer: tuple[Message, ...]
    desirable: bool
    tools: tuple[dict[str, Any], ...] = ()


Example = Conversation | PlainText | Preference | Judged
