"""Taking the part of an answer that is to be compared."""

import re
from typing import Annotated

from pydantic import AfterValidator


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"it is no regular expression: {error}") from error
    return pattern


Pattern = Annotated[str, AfterValidator(_compiles)]
"""A regular expression of Python's `re`."""


def extracted(pattern: str | None, text: str) -> str | None:
    """The last match, or its first group; the whole text without a pattern, None where nothing matches."""
    if pattern is None:
        return text
    found = list(re.finditer(pattern, text))
    if not found:
        return None
    last = found[-1]
    return last[1] if last.re.groups else last[0]
