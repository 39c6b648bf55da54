"""Reads one uploaded file and prints what it holds and what is wrong, as one JSON object.

Run as `python -m freehold.serve.files.findings FILE` by `inspection`, under limits. It imports no more than it needs:
every upload starts it.
"""

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from freehold.core.dataset.problems import Problem
from freehold.core.dataset.reading import KINDS, Scan
from freehold.core.dataset.sources.opening import open_sources

MOST_TOLD = 20
"""Problems that are listed; their number is told beside."""


@dataclass
class Findings:
    """What a file holds, and what is wrong with it."""

    kind: str = ""
    """As `core.dataset` calls it; empty where nothing was recognised."""
    examples: int = 0
    errors: int = 0
    told: list[str] = field(default_factory=list)
    """The first of them, each with its line."""


def findings_of(path: Path) -> Findings:
    """Read the file from its first line to its last; none is kept in memory."""
    found = Findings()
    for findings, example in Scan(open_sources([str(path)]))():
        if example is not None:
            found.examples += 1
            found.kind = found.kind or KINDS[type(example)]
        errors = [problem for problem in findings.problems if problem.severity == "error"]
        found.errors += len(errors)
        found.told += _told(errors[: max(0, MOST_TOLD - len(found.told))])
    return found


def _told(problems: Iterable[Problem]) -> list[str]:
    """Without the path, which is ours and not the client's."""
    return [
        f"Line {problem.origin.line}{'' if problem.column is None else f', column {problem.column}'}: {problem.message}"
        for problem in problems
    ]


if __name__ == "__main__":
    print(json.dumps(asdict(findings_of(Path(sys.argv[1])))))
