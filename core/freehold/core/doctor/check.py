"""What a check is, and how the installed ones are found and run."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import entry_points
from typing import Protocol

from freehold.core.errors import FreeholdError
from freehold.core.settings import Settings

GROUP = "freehold.checks"
"""Entry points of this group are called with the settings and return checks."""


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


CheckSource = Callable[[Settings], Sequence[Check]]


def installed_checks(settings: Settings) -> list[Check]:
    """Those of core first, then those of the other packages in the order of their names."""
    from freehold.core.doctor.machine import checks

    sources: list[CheckSource] = [checks]
    sources += [entry.load() for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name)]
    return [check for source in sources for check in source(settings)]


def examine(checks: Sequence[Check]) -> Iterator[tuple[Check, Finding]]:
    """Run them one after the other; a check that fails does not keep the next one from running."""
    for check in checks:
        try:
            yield check, check.run()
        except FreeholdError as error:
            yield check, Finding(Status.FAIL, str(error), error.next_step)
