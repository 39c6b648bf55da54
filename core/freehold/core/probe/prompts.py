"""The fixed prompts. Changing one makes recorded references useless: add, never edit."""

from dataclasses import dataclass

POSITIONS = 8
"""Reference tokens recorded after each prompt."""
TOP = 10
"""Most likely tokens recorded at each position; engines answer with up to 20."""


@dataclass(frozen=True)
class FixedPrompt:
    """A chat turn, rendered through the model's own template, or raw text."""

    name: str
    text: str
    is_chat: bool


PROMPTS = (
    FixedPrompt("capital", "What is the capital of France?", is_chat=True),
    FixedPrompt("code", "def fibonacci(n):\n    if n <", is_chat=False),
    FixedPrompt("prose", "The history of the printing press begins in the", is_chat=False),
    FixedPrompt("numbers", "1, 2, 4, 8, 16, 32,", is_chat=False),
)
