"""What the scanner keeps of a program, whatever its language: expressions, reduced to where a model could be."""

from dataclasses import dataclass, field

Path = tuple[str, ...]
"""A dotted reference, `client.chat.completions` as ("client", "chat", "completions"). `f().x` is ("f()", "x"),
`config["model"]` is ("config", "model"), `this` is "self"."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal."""

    line: int
    value: str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Joined:
    """A string made of parts: an f-string, a template, a sum."""

    line: int
    parts: tuple["Value", ...]


@dataclass(frozen=True, slots=True)
class Name:
    """A reference to something by its name."""

    line: int
    path: Path


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import binds a name to; `symbol` is empty for the module itself."""

    line: int
    module: str
    symbol: str


@dataclass(frozen=True, slots=True)
class Item:
    """A key of a record, or a keyword of a call."""

    key: str
    line: int
    value: "Value"


@dataclass(frozen=True, slots=True)
class Record:
    """A dict, an object, or the keywords of a call."""

    line: int
    items: tuple[Item, ...]
    spreads: tuple["Value", ...] = ()
    """What is unpacked into it."""


@dataclass(frozen=True, slots=True)
class Several:
    """A list or a tuple."""

    line: int
    items: tuple["Value", ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several: `a or b`, `x if c else y`."""

    line: int
    options: tuple["Value", ...]


@dataclass(frozen=True, slots=True)
class Call:
    """A call or a construction. In JavaScript the objects among its arguments are unpacked into `keywords`."""

    line: int
    callee: Path
    arguments: tuple["Value", ...]
    keywords: Record
    constructs: bool = False
    """Written with `new`."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """What could be anything."""

    line: int


@dataclass(frozen=True, slots=True)
class Within:
    """What a function gives back: its names are those of the function."""

    line: int
    value: "Value"
    scope: "Scope"


Value = Constant | Joined | Name | Imported | Record | Several | Choice | Call | Unknown | Within


@dataclass(slots=True)
class Scope:
    """Names and what they are bound to. A class's scope also holds its attributes, as `self.x`."""

    parent: "Scope | None" = None
    is_class: bool = False
    bindings: dict[str, list[Value]] = field(default_factory=dict)
    types: dict[str, Path] = field(default_factory=dict)
    """Of annotated names."""
    classes: dict[str, "Scope"] = field(default_factory=dict)

    def bind(self, name: str, value: Value) -> None:
        """Say that `name` may be `value`."""
        self.bindings.setdefault(name, []).append(value)
