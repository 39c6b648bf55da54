"""Precision and recall on real packages, against what a reader found in them."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from fixtures.scan_corpus import Fact, Labelled, facts, fetched, labelled

from freehold.evaluate.scan.detect import features
from freehold.evaluate.scan.finding import Finding
from freehold.evaluate.scan.knowledge import ClosedName, ClosedNames
from freehold.evaluate.scan.scanning import ScanRequest, scan

LEAST = 0.95
pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Score:
    """Of all packages together."""

    right: int
    wrong: frozenset[tuple[str, Fact]]
    missed: frozenset[tuple[str, Fact]]

    @property
    def precision(self) -> float:
        return self.right / max(self.right + len(self.wrong), 1)

    @property
    def recall(self) -> float:
        return self.right / max(self.right + len(self.missed), 1)

    @property
    def suffices(self) -> bool:
        return self.precision >= LEAST and self.recall >= LEAST


def measure() -> Score:
    """Every labelled line of every package."""
    right, wrong, missed = 0, set(), set()
    for each in labelled():
        found = facts(_findings(each))
        right += len(found & each.found)
        wrong |= {(each.package, fact) for fact in found - each.found}
        missed |= {(each.package, fact) for fact in each.found - found}
    return Score(right, frozenset(wrong), frozenset(missed))


def _findings(package: Labelled) -> list[Finding]:
    try:
        tree = fetched(package.package, package.version, package.index)
    except FileNotFoundError as error:
        pytest.skip(f"needs {package.package} {package.version} of {package.index}: {error}")
    found = [replace(each, file=file) for file in package.ranges for each in scan(ScanRequest(tree / file)).findings]
    return [each for each in found if package.covers(each)]


def test_the_labels_are_enough() -> None:
    packages = labelled()
    assert len(packages) >= 5
    assert sum(len(each.found) for each in packages) >= 120
    assert sum(len(each.looks_alike) for each in packages) >= 40


def test_a_line_is_not_labelled_both_ways() -> None:
    for each in labelled():
        assert not {(file, line) for file, line, _, _ in each.found} & each.looks_alike, each.package


def test_the_scan_agrees_with_the_reader() -> None:
    score = measure()
    assert score.precision >= LEAST, sorted(score.wrong)
    assert score.recall >= LEAST, sorted(score.missed)


def _blind(self: ClosedNames, text: str) -> ClosedName | None:
    return None


def _credulous(self: ClosedNames, text: str) -> ClosedName | None:
    return ClosedName(text, "openai") if 2 < len(text) < 40 else None


@pytest.mark.parametrize("broken", [_blind, _credulous])
def test_a_broken_detector_is_caught(
    broken: Callable[[ClosedNames, str], ClosedName | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ClosedNames, "recognise", broken)
    assert not measure().suffices


def test_a_detector_that_sees_no_calls_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "_features", lambda *_: ((), None, False))
    assert not measure().suffices
