"""From sources of data to examples, and from an example to words and to tokens."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freehold.core.dataset.examples import Conversation, Example, Judged, Message, PlainText, Preference
from freehold.core.dataset.reading import read_examples
from freehold.core.errors import ConfigError
from freehold.core.settings import Settings
from freehold.quantize.texts.shipped import NEUTRAL


@dataclass(frozen=True)
class Texts:
    """What was read."""

    examples: tuple[Example, ...]
    digest: str
    """SHA-256 over the examples of every source as they were understood."""


def read_texts(sources: Sequence[str], settings: Settings, *, neutral: Sequence[Path]) -> Texts:
    """Every source's examples, each source in a format of its own; `neutral` is what the source of that name is.

    Raises ConfigError with every bad line, NotFoundError for files that are not there.
    """
    files = [name for source in sources for name in (map(str, neutral) if source == NEUTRAL else (source,))]
    examples: list[Example] = []
    problems: list[str] = []
    digest = hashlib.sha256()
    for file in files:
        found = read_examples([file], settings=settings)
        examples += found.examples
        problems += map(str, found.errors)
        digest.update(found.digest.encode())
    if problems:
        raise ConfigError(
            f"The text has {len(problems)} error(s)",
            problems,
            next_step=f"Correct them; `freehold dataset check {' '.join(files)}` shows all of it.",
        )
    return Texts(tuple(examples), digest.hexdigest())


def tokens_of(example: Example, tokenizer: Any) -> list[int]:
    """An example as the model would see it, its answer included."""
    if isinstance(example, PlainText):
        return [*tokenizer.encode(example.text, add_special_tokens=False)]
    if not tokenizer.chat_template:
        return [*tokenizer.encode(words_of(example), add_special_tokens=False)]
    plain = [{name: value for name, value in message.items() if name != "weight"} for message in _messages(example)]
    rendered = tokenizer.apply_chat_template(plain, tools=list(example.tools) or None, tokenize=True, return_dict=False)
    return [int(token) for token in rendered]


def words_of(example: Example) -> str:
    """What was said, without a template."""
    if isinstance(example, PlainText):
        return example.text
    return "\n\n".join(str(message.get("content") or "") for message in _messages(example))


def _messages(example: Conversation | Preference | Judged) -> tuple[Message, ...]:
    if isinstance(example, Conversation):
        return example.messages
    if isinstance(example, Preference):
        return (*example.prompt, *example.chosen)
    return (*example.prompt, *example.answer)
