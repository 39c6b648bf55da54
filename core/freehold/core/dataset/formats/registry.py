"""The formats there are, in the order in which `auto` tries them."""

from typing import Any

from freehold.core.dataset.formats.alpaca import AlpacaFormat
from freehold.core.dataset.formats.chat import ChatFormat
from freehold.core.dataset.formats.completion import CompletionFormat
from freehold.core.dataset.formats.format import Format
from freehold.core.dataset.formats.kto import KtoFormat
from freehold.core.dataset.formats.preference import PreferenceFormat
from freehold.core.dataset.formats.sharegpt import ShareGptFormat
from freehold.core.dataset.formats.text import TextFormat
from freehold.core.errors import UserError

AUTO = "auto"
FORMATS: tuple[Format, ...] = (
    PreferenceFormat(),
    KtoFormat(),
    ChatFormat(),
    ShareGptFormat(),
    CompletionFormat(),
    AlpacaFormat(),
    TextFormat(),
)


def format_named(name: str) -> Format:
    """Raises UserError with the names there are."""
    for known in FORMATS:
        if known.name == name:
            return known
    names = ", ".join([AUTO, *(known.name for known in FORMATS)])
    raise UserError(f"There is no format '{name}'", why=f"the formats are {names}")


def recognise(row: dict[str, Any]) -> Format | None:
    """The first format that the line looks like."""
    return next((known for known in FORMATS if known.matches(row)), None)
