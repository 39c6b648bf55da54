"""How a problem shows a value, and what was probably meant."""

import json
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

_LONGEST = 60


def shown(value: Any) -> str:
    """The value as JSON, shortened."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def did_you_mean(word: Any, known: Iterable[str]) -> str:
    """` (did you mean 'assistant'?)`, or nothing where no known word is near."""
    near = get_close_matches(str(word).strip().lower(), list(known), n=1, cutoff=0.6)
    return f" (did you mean '{near[0]}'?)" if near else ""


def type_name(value: Any) -> str:
    """What JSON calls the value's type."""
    names = {str: "a string", bool: "true or false", int: "a number", float: "a number", dict: "an object"}
    return "null" if value is None else names.get(type(value), "a list")
