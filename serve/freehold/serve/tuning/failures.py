"""Why a job's command ended as it did, as the `error` of the job."""

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freehold.core.errors import EnvironmentProblem, GateError, NotFoundError, RefusedError, UserError

MAX_MESSAGE = 4000
MOST_TOLD = 20
_COMPLAINT = "freehold: "
"""How the command line begins what it has to say of an error."""
_CODES = {
    UserError.exit_code: "training_refused",
    NotFoundError.exit_code: "training_refused",
    RefusedError.exit_code: "training_refused",
    GateError.exit_code: "parity_gate_failed",
    EnvironmentProblem.exit_code: "resources_missing",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """An end of a job that is none of success."""

    code: str
    message: str
    param: str | None = None

    def document(self) -> dict[str, Any]:
        return {"code": self.code, "message": self.message[:MAX_MESSAGE], "param": self.param}


def failure_of(status: int, log: str, home: Path) -> Failure:
    """What an exit status other than 0 means; the reason is the command's own last word."""
    reason = complaint_in(log, home)
    if status in _CODES:
        return Failure(_CODES[status], reason or f"The command ended with status {status}.")
    if is_killed(status):
        return Failure(
            "training_killed", reason or "The training process was killed; it may have taken too much memory."
        )
    return Failure("training_failed", reason or f"The training process ended with status {status}.")


def failure_of_check(status: int, output: str, home: Path) -> Failure:
    """The same for the check of the files: a list of problems, with their lines."""
    problems = [problem for problem in _problems(output) if problem.get("severity") == "error"]
    if not problems:
        found = failure_of(status, output, home)
        return Failure("invalid_training_file", found.message, "training_file")
    told = [
        f"Line {problem.get('line')} of {_file(problem)}: {problem.get('message')}" for problem in problems[:MOST_TOLD]
    ]
    more = [f"… and {len(problems) - MOST_TOLD} more"] if len(problems) > MOST_TOLD else []
    head = f"The files cannot be learnt from: {len(problems)} problem{'s' * (len(problems) > 1)}"
    return Failure("invalid_training_file", "\n".join([head, *told, *more]), "training_file")


def _problems(output: str) -> list[dict[str, Any]]:
    """Those in the JSON that `freehold dataset check` prints, wherever in the log it begins."""
    for start in (place.start() for place in re.finditer(r"^[{]", output, re.MULTILINE)):
        with suppress(ValueError):
            found, _ = json.JSONDecoder().raw_decode(output, start)
            problems = found.get("problems", [])
            return [problem for problem in problems if isinstance(problem, dict)]
    return []


def _file(problem: dict[str, Any]) -> str:
    return Path(str(problem.get("source", ""))).stem


def is_killed(status: int) -> bool:
    """Whether a signal ended it: that may be chance, and worth another try."""
    return 128 < status < 192


def complaint_in(log: str, home: Path) -> str:
    """The last error that the command printed, without the paths of this machine."""
    lines = log.splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith(_COMPLAINT)]
    if not starts:
        return ""
    told = "\n".join(lines[starts[-1] :]).removeprefix(_COMPLAINT)
    return without_paths(told, home).strip()


def without_paths(text: str, home: Path) -> str:
    """The text with files called as the API calls them."""
    return text.replace(f"{home / 'files'}/", "").replace(f"{home}/", "")
