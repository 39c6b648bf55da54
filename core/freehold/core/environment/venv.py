"""An empty environment from a base Python, and what the machine must have for that."""

import importlib.util
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from freehold.core.environment.folder import locks_to_pass
from freehold.core.errors import EnvironmentProblem, UserError
from freehold.core.progress import human_bytes

MACHINE = ("Linux", "x86_64")
MINIMUM_PYTHON = (3, 11)
GIB = 1024**3


def require_machine() -> None:
    """The engines and the locks are for one kind of machine. Raises EnvironmentProblem elsewhere."""
    here = (platform.system(), platform.machine())
    if here != MACHINE:
        raise EnvironmentProblem(
            f"This machine is {' '.join(here)}",
            why=f"vLLM and the locks are for {' '.join(MACHINE)}",
            next_step="Use such a machine, or a container on one.",
        )


def require_venv_module() -> None:
    """Debian and Ubuntu split this out of Python. Raises EnvironmentProblem naming the package."""
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        raise EnvironmentProblem(
            f"{sys.executable} cannot make environments",
            why="its modules venv and ensurepip are not installed",
            next_step="Run `apt-get install python3-venv` (as root), then the same command again.",
        )


def require_disk(folder: Path, need_gib: int) -> None:
    """Raises EnvironmentProblem that says how much is missing."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free, need = shutil.disk_usage(existing).free, need_gib * GIB
    if free < need:
        raise EnvironmentProblem(
            f"{existing} has {human_bytes(free)} free",
            why=f"the environment and pip's downloads need {need_gib} GiB, {human_bytes(need - free)} more",
            next_step="Free some, or choose another disk: FREEHOLD_CACHE for packages, FREEHOLD_HOME for engines.",
        )


def python_version(python: Path) -> str:
    """`3.12` of the interpreter at a path. Raises UserError when it is none, or too old."""
    ask = "import sys; print('{}.{}'.format(*sys.version_info[:2]))"
    try:
        ended = subprocess.run([str(python), "-c", ask], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise UserError(f"{python} is no Python that runs", why=str(error)) from error
    version = ended.stdout.strip()
    if tuple(int(part) for part in version.split(".")) < MINIMUM_PYTHON:
        raise UserError(f"{python} is Python {version}", why="3.11 or newer is needed")
    return version


def make_venv(folder: Path, *, python: Path = Path(sys.executable), with_pip: bool = True) -> None:
    """Make an empty environment at `folder`. Raises EnvironmentProblem with what the venv module said."""
    command = [str(python), "-m", "venv", *([] if with_pip else ["--without-pip"]), str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, pass_fds=locks_to_pass(), check=False)
    if ended.returncode:
        said = (ended.stderr or ended.stdout).strip()
        raise EnvironmentProblem(f"`{' '.join(command)}` failed", why=said)


def works(folder: Path) -> bool:
    """Whether the base Python that the environment links to is still there."""
    return (folder / "bin" / "python").exists()
