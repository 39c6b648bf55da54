"""pip as a child process: its log, its last words when it fails, and what it can find."""

import json
import os
import re
import subprocess
from pathlib import Path

from freehold.core.environment.folder import locks_to_pass
from freehold.core.environment.lock import Pin, normalize
from freehold.core.errors import EnvironmentProblem

LAST_LINES = 12
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"

# A search folder without an entry for a package is normal where several are configured; one line each hides the rest.
_NOISE = re.compile(r"^WARNING: (Location|Skipping|The script|Running pip as)|^\s*$|^\[notice\]")


def pip_environ() -> dict[str, str]:
    """The person's own pip settings, without what would send packages elsewhere or show pip the wrong ones."""
    environ = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    return environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "PIP_USER": "0"}


def run_pip(python: Path, *arguments: str, log: Path) -> str:
    """Run `python -m pip …`, output to `log`, and return that. Raises EnvironmentProblem with pip's last lines."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as out:
        command = [str(python), "-m", "pip", *arguments]
        ended = subprocess.run(
            command,
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=pip_environ(),
            pass_fds=locks_to_pass(),
            check=False,
        )
    text = log.read_text(errors="replace")
    if ended.returncode:
        raise EnvironmentProblem(
            f"`pip {arguments[0]}` failed", why=f"\n{last_lines(text)}", next_step=f"The whole log: {log}"
        )
    return text


def last_lines(text: str) -> str:
    """The end of pip's output, without its chatter."""
    lines = [line for line in text.splitlines() if not _NOISE.match(line)]
    return "\n".join(f"  {line}" for line in lines[-LAST_LINES:])


def require_torch_build(python: Path, version: str, log: Path) -> None:
    """Ask pip whether it can find a local build of torch such as `2.13.0+cpu`; nothing is downloaded.

    Raises EnvironmentProblem with the one setting that mends it.
    """
    try:
        listing = run_pip(python, "index", "versions", "torch", log=log)
    except EnvironmentProblem as error:
        # PyPI lists builds of torch for every supported Python, so nothing at all means that pip sees no index.
        raise EnvironmentProblem(
            "pip finds no torch at all", why=error.why, next_step="Check the network and `pip config list`."
        ) from error
    available = re.search(r"^Available versions: (.*)$", listing, re.MULTILINE)
    if available is None or version not in available[1].split(", "):
        raise missing_torch_build(version)


def resolve_pins(python: Path, requirement: str, logs: Path) -> tuple[Pin, ...]:
    """Everything that pip would install for `requirement`, as pins. Raises EnvironmentProblem."""
    report, log = logs / "resolved.json", logs / "resolve.log"
    arguments = ("--dry-run", "--ignore-installed", "--prefer-binary", "--report", str(report))
    try:
        run_pip(python, "install", *arguments, requirement, log=log)
    except EnvironmentProblem as error:
        wanted = re.search(r"No matching distribution found for torch==(\S+\+cpu)", log.read_text(errors="replace"))
        raise missing_torch_build(wanted[1]) if wanted else error from None
    found = [item["metadata"] for item in json.loads(report.read_text())["install"]]
    return tuple(Pin(normalize(item["name"]), item["version"]) for item in found)


def missing_torch_build(version: str) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"pip finds no torch=={version} for this Python and machine",
        why="it is on PyTorch's own index only, and vLLM for CPU demands exactly it",
        next_step=f"Run `export PIP_EXTRA_INDEX_URL={TORCH_CPU_INDEX}`, then the same command again.",
    )
