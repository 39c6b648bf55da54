"""The examination: every installed check, found and run."""

from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import entry_points

from freehold.core.doctor.check import Check, Finding, Status
from freehold.core.doctor.machine import checks as machine_checks
from freehold.core.errors import FreeholdError
from freehold.core.settings import Settings

GROUP = "freehold.checks"
"""Entry points of this group are called with the settings and return checks."""

CheckSource = Callable[[Settings], Sequence[Check]]


def installed_checks(settings: Settings) -> list[Check]:
    """Those of core first, then those of the other packages in the order of their names."""
    sources: list[CheckSource] = [machine_checks]
    sources += [entry.load() for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name)]
    return [check for source in sources for check in source(settings)]


def examine(checks: Sequence[Check]) -> Iterator[tuple[Check, Finding]]:
    """Run them one after the other; a check that fails does not keep the next one from running."""
    for check in checks:
        try:
            yield check, check.run()
        except FreeholdError as error:
            yield check, Finding(Status.FAIL, str(error), error.next_step)
