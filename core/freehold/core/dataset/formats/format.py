"""What a way of writing training data has to know: its own lines, and what they mean."""

from typing import Any, Protocol

from freehold.core.dataset.examples import Example
from freehold.core.dataset.problems import Findings


class Format(Protocol):
    """One file beside this one each; `registry.py` lists them."""

    @property
    def name(self) -> str:
        """As `--format` and the recipe name it."""
        ...

    @property
    def shape(self) -> str:
        """A line in short, for messages."""
        ...

    def matches(self, row: dict[str, Any]) -> bool:
        """Whether a line looks like this format; problems inside it do not matter."""
        ...

    def read(self, row: dict[str, Any], findings: Findings) -> Example | None:
        """The example, or None after at least one error in `findings`. Every problem of the line is reported."""
        ...
