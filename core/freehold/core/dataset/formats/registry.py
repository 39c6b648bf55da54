"""The formats there are, in the order in which `auto` tries them."""

from typing import Any

from freehold.core.dataset.formats.chat import ChatFormat
from freehold.core.dataset.formats.format import Format
from freehold.core.errors import UserError

AUTO = "auto"
FORMATS: tuple[Format, ...] = (ChatFormat(),)


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
