"""What a scan finds."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Which part of a dependency it is."""

    SDK = "sdk"
    """A library is imported, or named as a dependency."""
    CLIENT = "client"
    """A client is made: the place of the base URL."""
    ENDPOINT = "endpoint"
    """The URL of a closed model's API."""
    MODEL = "model"
    """A closed model's name."""
    FEATURE = "feature"
    """Something of the API is used."""
    VARIABLE = "variable"
    """A variable of the environment that a client reads."""


class Confidence(StrEnum):
    """How sure the scan is that the program depends on it."""

    CERTAIN = "certain"
    LIKELY = "likely"
    """It stands there, but nothing shows that a closed model gets it."""
    MENTION = "mention"
    """It is written in prose: a comment, a docstring, a document."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One place. It holds no line of the source: keys stand in them."""

    file: str
    """Relative to the folder that was scanned, with `/`."""
    line: int
    """From 1."""
    kind: Kind
    value: str
    """What was found: an id of `knowledge/sdks.yaml` or of the gateway's surface, a client's class, a model's name as
    its provider writes it, a variable's name, host and path of a URL."""
    provider: str
    confidence: Confidence
    model: str = ""
    """Of a feature: the model that the call names."""
    change: str = ""
    """What to do at this place, where something is to be done."""
    settled: bool = False
    """Of a client: it is pointed at another server already."""
    foreign: bool = False
    """It goes through an API that the gateway does not speak."""


@dataclass(frozen=True, slots=True)
class Unread:
    """A file, or a part of the tree, that was not read as it should be."""

    file: str
    reason: str
    scanned: bool = False
    """It was searched by pattern all the same."""
