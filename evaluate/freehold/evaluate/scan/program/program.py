"""One source file, read: its imports, calls, records and texts, in one form for every language."""

from dataclasses import dataclass, field
from enum import Enum

from freehold.evaluate.scan.program.values import Call, Joined, Path, Record, Scope


class Place(Enum):
    """Where a text stands."""

    LITERAL = "literal"
    PART = "part"
    """Of a string that is put together."""
    PROSE = "prose"
    """A comment, a docstring, a document."""


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of text, and the line that it begins on."""

    line: int
    text: str
    place: Place = Place.LITERAL


@dataclass(frozen=True, slots=True)
class Import:
    """One symbol of a module, or the module itself when `symbol` is empty."""

    line: int
    module: str
    symbol: str = ""


@dataclass(frozen=True, slots=True)
class Used:
    """A call, and the names that it can see."""

    call: Call
    scope: Scope


@dataclass(frozen=True, slots=True)
class Noted:
    """A record, and the names that it can see."""

    record: Record
    scope: Scope


@dataclass(slots=True)
class Program:
    """What a front end found."""

    imports: list[Import] = field(default_factory=list)
    calls: list[Used] = field(default_factory=list)
    records: list[Noted] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)
    joined: list[tuple[Joined, Scope]] = field(default_factory=list)
    """Strings that are put together."""
    decorators: list[tuple[int, Path, Scope]] = field(default_factory=list)
    """Those that are no calls."""
