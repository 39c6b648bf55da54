"""What has to be changed, and where."""

from collections.abc import Iterable
from dataclasses import dataclass

from freehold.evaluate.scan.finding import Confidence, Finding


@dataclass(frozen=True)
class Change:
    """One thing to do, and the places where."""

    what: str
    places: tuple[Finding, ...]


def changes(findings: Iterable[Finding]) -> list[Change]:
    """The same thing to do at several places is one change; the most frequent first."""
    places: dict[str, list[Finding]] = {}
    for each in findings:
        if each.change and each.confidence is not Confidence.MENTION:
            places.setdefault(each.change, []).append(each)
    found = [Change(what, tuple(where)) for what, where in places.items()]
    return sorted(found, key=lambda change: (-len(change.places), change.what))
