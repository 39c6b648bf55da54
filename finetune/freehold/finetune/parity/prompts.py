"""Which prompts the parity gate asks: held-out examples, spread over the data, each up to its last answer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from freehold.core.dataset.examples import Conversation, Example, Message, PlainText

PROMPTS = 16
"""As many as one reference holds; with 32 positions each, enough for a mean that does not hang on one of them."""
TEXT_TOKENS = 32
"""Of a plain text, so many tokens are the prompt."""


@dataclass(frozen=True)
class Prompt:
    """What is asked: a chat up to the assistant's turn, or the beginning of a text."""

    name: str
    messages: tuple[Message, ...] | None = None
    tools: tuple[dict[str, Any], ...] = ()
    text: str = ""
    """In place of messages; cut after `TEXT_TOKENS` tokens."""


def choose_prompts(examples: Sequence[Example], count: int = PROMPTS) -> tuple[Prompt, ...]:
    """At most `count` different prompts of these examples, evenly spread over them, the same every time."""
    different = list({_identity(prompt): prompt for prompt in _prompts(examples)}.values())
    if len(different) <= count:
        return tuple(different)
    return tuple(different[index * len(different) // count] for index in range(count))


def _prompts(examples: Sequence[Example]) -> Iterator[Prompt]:
    for example in examples:
        if isinstance(example, PlainText):
            if example.text.strip():
                yield Prompt(str(example.origin), text=example.text)
        elif messages := _before_answer(example.messages) if isinstance(example, Conversation) else example.prompt:
            yield Prompt(str(example.origin), tuple(_as_asked(message) for message in messages), example.tools)


def _before_answer(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Everything before the last turn of the assistant; empty when nothing stands there."""
    answers = [index for index, message in enumerate(messages) if message["role"] == "assistant"]
    return messages[: answers[-1]] if answers else ()


def _as_asked(message: Message) -> Message:
    """Without what is for the trainer alone: an engine refuses fields that it does not know."""
    return {name: value for name, value in message.items() if name != "weight"}


def _identity(prompt: Prompt) -> str:
    return repr((prompt.messages, prompt.tools, prompt.text))
