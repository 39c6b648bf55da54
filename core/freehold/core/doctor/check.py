"""What a check is."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Status(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARN = "warn"
    """It works, but slower or less than it could."""
    FAIL = "fail"
    """Something that Freehold needs does not work."""
    SKIP = "skip"
    """There was nothing to look at."""


@dataclass(frozen=True)
class Finding:
    """What a check found, and what mends it."""

    status: Status
    finding: str
    remedy: str = ""


class Check(Protocol):
    """One question to the machine. It changes nothing and answers within seconds, unless it is `slow`."""

    @property
    def name(self) -> str:
        """A short noun, unique among the checks."""

    def run(self) -> Finding:
        """Look and say. A FreeholdError that it raises counts as a failure, with the error's next step as remedy."""


class SimpleCheck:
    """A Check from a name and a function."""

    def __init__(self, name: str, run: Callable[[], Finding]) -> None:
        self._name = name
        self._run = run

    @property
    def name(self) -> str:
        return self._name

    def run(self) -> Finding:
        return self._run()
