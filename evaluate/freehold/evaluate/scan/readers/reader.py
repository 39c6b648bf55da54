"""What a reader is."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Protocol

from freehold.evaluate.scan.finding import Finding
from freehold.evaluate.scan.knowledge import ClosedNames


@dataclass(frozen=True, slots=True)
class Reading:
    """What one file gave."""

    findings: Iterable[Finding] = field(default_factory=tuple)
    problem: str = ""
    """Why it could not be parsed, and was searched by pattern."""

    def at(self, file: str) -> "Reading":
        """The same, found in another file."""
        return Reading([replace(each, file=file) for each in self.findings], self.problem)


class Reader(Protocol):
    """Finds what a file of one kind depends on. Raises nothing, whatever the text is."""

    name: str
    """Of the kind, for people: `Python`."""

    def read(self, file: str, text: str, names: ClosedNames) -> Reading:
        """`file` is what findings say; `text` is its content."""
        ...
