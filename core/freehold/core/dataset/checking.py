"""Every problem of training data that needs no tokenizer, in one pass that keeps no example."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from freehold.core.dataset.examples import Example
from freehold.core.dataset.formats.registry import AUTO
from freehold.core.dataset.problems import Findings, Problem
from freehold.core.dataset.reading import Scan
from freehold.core.dataset.repeats import Seen
from freehold.core.dataset.sources.opening import open_sources
from freehold.core.dataset.sources.source import Source, ignore
from freehold.core.settings import Settings

Look = Callable[[Example, Findings], None]
"""Looks at one example on the way and adds to its findings; a tokenizer's checks come in here."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What a set of data is, and what is wrong with it."""

    lines: int
    """Rows that were read, blank lines aside."""
    examples: int
    """Rows that can be learnt from."""
    format: str | None
    digest: str
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.severity == "error")


class Check:
    """A pass over training data, and one over evaluation data that compares the two."""

    def __init__(self, sources: Sequence[str], evaluation: Sequence[str] = (), *, settings: Settings | None = None):
        """Raises NotFoundError with every file that is missing."""
        opened = open_sources([*sources, *evaluation], settings)
        self._train, self._evaluation = opened[: len(sources)], opened[len(sources) :]
        self._seen = Seen()

    @property
    def size_bytes(self) -> int:
        """What both passes will tell `advance` in all; 0 where nobody knows."""
        sizes = [source.size_bytes for source in (*self._train, *self._evaluation)]
        return sum(sizes) if all(sizes) else 0

    def train(
        self, format: str = AUTO, *, looks: Iterable[Look] = (), advance: Callable[[int], None] = ignore
    ) -> Checked:
        """Check the training data."""
        has_evaluation = bool(self._evaluation)

        def look(example: Example, findings: Findings) -> None:
            _report_repeat(self._seen, example, findings)
            self._seen.add(example, prompts=has_evaluation)

        return _pass(self._train, format, (look, *looks), advance)

    def evaluation(
        self, format: str = AUTO, *, looks: Iterable[Look] = (), advance: Callable[[int], None] = ignore
    ) -> Checked | None:
        """Check the evaluation data, after `train`; None where there is none."""
        if not self._evaluation:
            return None
        seen = Seen()

        def look(example: Example, findings: Findings) -> None:
            _report_repeat(seen, example, findings)
            _report_leak(self._seen, example, findings)
            seen.add(example)

        return _pass(self._evaluation, format, (look, *looks), advance)


def _pass(sources: Sequence[Source], format: str, looks: Sequence[Look], advance: Callable[[int], None]) -> Checked:
    scan = Scan(sources, format)
    problems: list[Problem] = []
    lines = examples = 0
    for findings, example in scan(advance):
        lines += 1
        if example is not None:
            for look in looks:
                look(example, findings)
            examples += not findings.has_errors
        problems += findings.problems
    return Checked(lines, examples, scan.format.name if scan.format else None, scan.digest.value(), tuple(problems))


def _report_repeat(seen: Seen, example: Example, findings: Findings) -> None:
    if found := seen.find(example):
        origin, sameness = found
        code = "duplicate" if sameness == "same" else "near_duplicate"
        findings.warning(code, f"{sameness} as {origin}; it would count twice")


def _report_leak(train: Seen, example: Example, findings: Findings) -> None:
    if found := train.find(example):
        origin, sameness = found
        findings.error("leakage", f"{sameness} as {origin} of the training data; it would measure memory")
    elif prompt := train.find_prompt(example):
        findings.warning("prompt_leakage", f"asks the same as {prompt} of the training data")
