"""Whether an uploaded file is data to learn from: read by a process of its own, which may be slow and use memory.

Run as `python -m freehold.serve.files.inspection FILE`; prints what it found as one JSON object.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec

from freehold.core.dataset.problems import Problem
from freehold.core.dataset.reading import KINDS, Scan
from freehold.core.dataset.sources.opening import open_sources
from freehold.core.errors import EnvironmentProblem
from freehold.core.settings import load_settings
from freehold.serve.confinement import confined
from freehold.serve.gateway.errors import RequestError

MOST_TOLD = 20
"""Problems that a refusal lists; it says how many there are."""
MEMORY_BYTES = 4 * 1024**3
CPU_LIMIT_S = 600
AT_ONCE = 2
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH", "FREEHOLD_HOME", "HF_HOME")
"""Of this process's environment. The rest may hold secrets of the gateway."""


class Findings(msgspec.Struct):
    """What a file holds, and what is wrong with it."""

    kind: str
    """As `core.dataset` calls it; empty where nothing was recognised."""
    examples: int
    errors: int
    told: list[str]
    """The first of them, each with its line."""

    def require_sound(self) -> None:
        """Raises RequestError that lists what is wrong."""
        if not self.errors:
            return
        more = f"\n… and {self.errors - len(self.told)} more" if self.errors > len(self.told) else ""
        problems = "problem" if self.errors == 1 else "problems"
        raise RequestError(
            f"The file cannot be learnt from: {self.errors} {problems}",
            why="\n" + "\n".join(self.told) + more,
            next_step="`freehold dataset check FILE` shows the same before an upload.",
            code="invalid_file",
            param="file",
        )


class Inspector:
    """Inspects files, two at a time."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def inspect(self, path: Path) -> Findings:
        """What the file holds. Raises EnvironmentProblem if it could not be read to its end."""
        command = (sys.executable, "-m", "freehold.serve.files.inspection", str(path))
        async with self._turn:
            process = await asyncio.create_subprocess_exec(
                *confined(*command, data_bytes=MEMORY_BYTES, cpu_s=CPU_LIMIT_S),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=passed_on(),
            )
            try:
                output, complaint = await process.communicate()
            except asyncio.CancelledError:
                process.kill()
                await process.wait()
                raise
        if process.returncode != 0:
            raise EnvironmentProblem(
                "The file could not be checked",
                why=complaint.decode(errors="replace").strip()[-500:] or f"its reader ended with {process.returncode}",
                next_step="Try again, or split it.",
            )
        return msgspec.json.decode(output, type=Findings)


def passed_on() -> dict[str, str]:
    """The environment of a process that works on a team's data."""
    return {name: value for name, value in os.environ.items() if name in PASSED_ON}


def findings_of(path: Path) -> Findings:
    """Read the file, in memory that does not grow with it but for what tells duplicates."""
    scan = Scan(open_sources([str(path)], load_settings()))
    found = Findings("", 0, 0, [])
    for findings, example in scan():
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
    print(json.dumps(msgspec.to_builtins(findings_of(Path(sys.argv[1])))))
