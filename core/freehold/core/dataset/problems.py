"""What is wrong with a line of data, and where."""

from dataclasses import dataclass
from typing import Any, Literal

from freehold.core.dataset.examples import Origin

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with one line. An error keeps a run from starting; a warning wants a look."""

    origin: Origin
    code: str
    """Stable identifier: `bad_json`, `unknown_role`, …"""
    message: str
    """What is wrong, with the value, and what would be right."""
    severity: Severity
    column: int | None = None
    """Counted from 1, where the line itself could not be read."""

    def __str__(self) -> str:
        place = str(self.origin) if self.column is None else f"{self.origin}:{self.column}"
        return f"{place}: {self.severity}: {self.message}"

    def document(self) -> dict[str, Any]:
        """The problem as JSON has it."""
        place = {"source": self.origin.source, "line": self.origin.line, "column": self.column}
        return place | {"severity": self.severity, "code": self.code, "message": self.message}


class Findings:
    """Collects the problems of one line while it is read."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.problems: list[Problem] = []

    @property
    def has_errors(self) -> bool:
        return any(problem.severity == "error" for problem in self.problems)

    def error(self, code: str, message: str, *, column: int | None = None) -> None:
        """The line cannot be learnt from as it is."""
        self.problems.append(Problem(self.origin, code, message, "error", column))

    def warning(self, code: str, message: str) -> None:
        """The line can be learnt from, and somebody should look at it."""
        self.problems.append(Problem(self.origin, code, message, "warning"))
