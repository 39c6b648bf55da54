"""A clone's own `.venv`: the project, editable, over the shared environment. It takes a megabyte and three seconds."""

import hashlib
import shutil
import sys
from pathlib import Path

from freehold.core.environment.folder import exclusive
from freehold.core.environment.packages import site_packages
from freehold.core.environment.pip import run_pip
from freehold.core.environment.venv import make_venv, works
from freehold.core.errors import RefusedError
from freehold.core.progress import phase

STAMP = "freehold.key"
"""In the environment's folder: empty while it is being made, then the key of what it was made from."""
OVERLAY = "_freehold_shared.pth"


def ensure_clone(venv: Path, project: Path, shared: Path) -> bool:
    """Make `venv` show the shared packages and the project; True when there was something to do."""
    venv, project = venv.absolute(), project.absolute()
    key = _key(project, shared)
    with exclusive(project / "pyproject.toml", what=str(venv)):
        if _is_current(venv, key):
            return False
        _clear(venv)
        with phase(f"Linking {venv} to {shared.name}"):
            _make(venv, project, shared)
        (venv / STAMP).write_text(key)
    return True


def _key(project: Path, shared: Path) -> str:
    parts = [(project / "pyproject.toml").read_text(), str(project), str(shared), sys.base_prefix]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _is_current(venv: Path, key: str) -> bool:
    stamp = venv / STAMP
    return stamp.is_file() and stamp.read_text() == key and works(venv)


def _clear(venv: Path) -> None:
    if venv.exists() and not (venv / STAMP).is_file():
        raise RefusedError(
            f"{venv} was not made by Freehold", why="it might hold work of yours", next_step="Move or remove it first."
        )
    if venv.exists():
        shutil.rmtree(venv)


def _make(venv: Path, project: Path, shared: Path) -> None:
    venv.mkdir(parents=True)
    (venv / STAMP).touch()
    make_venv(venv, with_pip=False)
    overlay = site_packages(venv) / OVERLAY
    # A plain path would be put on sys.path, but the .pth files beside the shared packages would not be read.
    overlay.write_text(f"import site; site.addsitedir({str(site_packages(shared))!r})\n")
    # pip, and the build backend, come from the shared environment through the overlay.
    arguments = ("install", "--no-deps", "--no-build-isolation", "--editable", str(project))
    run_pip(venv / "bin" / "python", *arguments, log=venv / "install.log")
