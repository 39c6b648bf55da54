"""What a place that training data comes from has to offer."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from freehold.core.dataset.problems import Findings

Row = tuple[Findings, dict[str, Any] | None]
"""A line's findings, which know where it is, and its object; None where it could not be read."""


def ignore(count: int) -> None:
    """Told of progress that nobody watches."""


class Source(Protocol):
    """Rows, one at a time: a source is never held in memory."""

    name: str
    """As messages name it."""
    size_bytes: int
    """What `rows` will tell `advance` in all; 0 where nobody knows."""

    def rows(self, advance: Callable[[int], None] = ignore) -> Iterator[Row]:
        """Every row, from the start, each time it is called."""
        ...
