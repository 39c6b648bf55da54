"""Whether an uploaded file is data to learn from: read by a process of its own, which may be slow and use memory."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

from freehold.core.errors import EnvironmentProblem
from freehold.serve.confinement import confined
from freehold.serve.files.findings import Findings
from freehold.serve.gateway.errors import RequestError

MODULE = "freehold.serve.files.findings"
MEMORY_BYTES = 4 * 1024**3
CPU_LIMIT_S = 600
AT_ONCE = 2
PASSED_ON = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH", "LD_LIBRARY_PATH"),
    *("FREEHOLD_HOME", "HF_HOME", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS"),
)
"""Of this process's environment. The rest may hold secrets of the gateway."""


def require_sound(findings: Findings) -> None:
    """Raises RequestError that lists what is wrong."""
    if not findings.errors:
        return
    left_out = findings.errors - len(findings.told)
    more = f"\n… and {left_out} more" if left_out else ""
    raise RequestError(
        f"The file cannot be learnt from: {findings.errors} problem{'s' * (findings.errors > 1)}",
        why="\n" + "\n".join(findings.told) + more,
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
        command = confined(sys.executable, "-m", MODULE, str(path), data_bytes=MEMORY_BYTES, cpu_s=CPU_LIMIT_S)
        async with self._turn:
            process = await asyncio.create_subprocess_exec(
                *command,
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
            last_words = complaint.decode(errors="replace").strip().splitlines()[-1:]
            raise EnvironmentProblem(
                "The file could not be checked",
                why=last_words[0] if last_words else f"its reader ended with status {process.returncode}",
                next_step="Try again, or split it.",
            )
        return Findings(**json.loads(output))


def passed_on() -> dict[str, str]:
    """The environment of a process that works on a team's data."""
    return {name: value for name, value in os.environ.items() if name in PASSED_ON}
