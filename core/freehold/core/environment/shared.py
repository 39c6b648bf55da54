"""The shared environment: everything the lock pins, once per machine, in a cache folder outside every clone."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from freehold.core.environment import torchvision_operators
from freehold.core.environment.folder import ensure_folder, is_complete
from freehold.core.environment.lock import Lock, Pin, lock_path, read_lock
from freehold.core.environment.packages import check_pins, compile_modules, install_pins, site_packages, size_bytes
from freehold.core.environment.pip import require_torch_build
from freehold.core.environment.variant import Variant
from freehold.core.environment.venv import make_venv, python_version, require_disk, works
from freehold.core.progress import hint, phase


def cache_root(environ: Mapping[str, str] = os.environ) -> Path:
    """`$FREEHOLD_CACHE`, else `$XDG_CACHE_HOME/freehold`, else `~/.cache/freehold`."""
    if environ.get("FREEHOLD_CACHE"):
        return Path(environ["FREEHOLD_CACHE"]).expanduser().absolute()
    base = environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME", "~")).expanduser() / ".cache"
    return Path(base).absolute() / "freehold"


def environment_folder(variant: Variant, lock: Lock, root: Path) -> Path:
    """Its name tells apart variant, Python and lock, so that a changed lock never meets old packages."""
    major, minor = sys.version_info[:2]
    return root / "environments" / f"{variant.name}-py{major}{minor}-{lock.digest}"


def ensure_shared(variant: Variant, root: Path, *, lock: Lock | None = None) -> Path:
    """The shared environment's folder, built first where it is missing or broken."""
    lock = lock or read_lock(lock_path(variant))
    folder = environment_folder(variant, lock, root)
    built = ensure_folder(
        folder,
        lambda place: build_locked(place, variant, lock),
        is_usable=lambda place: is_complete(place) and works(place),
    )
    alike = folder.parent.glob(f"{variant.name}-py*") if built else ()
    older = [path.name for path in alike if path != folder and is_complete(path)]
    if older:
        hint(f"Also in {folder.parent}: {', '.join(sorted(older))}. Delete those that no clone uses any more.")
    return folder


def build_locked(folder: Path, variant: Variant, lock: Lock, python: Path = Path(sys.executable)) -> dict[str, Any]:
    """Build an environment that holds exactly the lock. Returns what its marker records."""
    logs = logs_of(folder)
    version = python_version(python)
    pins = lock.for_python(version)
    require_disk(folder, variant.disk_gib)
    with phase(f"Making {folder}"):
        make_venv(folder, python=python)
    inside = folder / "bin" / "python"
    for torch in lock.versions_of("torch") if variant.torch_local else ():
        with phase(f"Asking pip for torch=={torch}"):
            require_torch_build(inside, torch, logs / "torch.log")
    fill(folder, pins, variant.absent)
    return {"variant": variant.name, "python": version, "lock": lock.digest, "size_bytes": size_bytes(folder)}


def fill(folder: Path, pins: tuple[Pin, ...], absent: frozenset[str]) -> None:
    """Install pins into an empty environment and check that they fit together."""
    with phase(f"Installing {len(pins)} packages"):
        install_pins(folder, pins, logs_of(folder))
    torchvision_operators.install(site_packages(folder))
    with phase("Compiling modules"):
        compile_modules(folder, logs_of(folder) / "compile.log")
    with phase("Checking that they fit together"):
        check_pins(folder / "bin" / "python", absent, logs_of(folder) / "check.log")


def logs_of(folder: Path) -> Path:
    """Beside the environment, so that they outlive one that could not be built."""
    return folder.with_name(f"{folder.name}.logs")
