"""The folder in which the workers of one gateway meet; only its owner may enter.

<run_root>/workers-<pid of the parent>/<number>.sock    where a worker answers its siblings
<run_root>/workers-<pid of the parent>/<number>.prom    what it last told of its numbers
"""

import os
import shutil
from pathlib import Path

import psutil

_PREFIX = "workers-"


class ControlFolder:
    """The folder, as one process sees it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def address(self, number: int) -> str:
        """Path of a worker's socket, short however long the folder's is: the kernel takes 107 bytes."""
        if self._descriptor is None:
            self._descriptor = os.open(self.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._descriptor}/{number}.sock"

    def told(self, number: int) -> Path:
        """File with what a worker last told of its numbers."""
        return self.path / f"{number}.prom"

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def remove(self) -> None:
        """Delete it with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)


def make_control_folder(run_root: Path) -> ControlFolder:
    """A new folder for the workers of this process; those of parents that were killed are removed."""
    run_root.mkdir(parents=True, exist_ok=True)
    for path in run_root.glob(f"{_PREFIX}*"):
        pid = path.name.removeprefix(_PREFIX)
        if pid.isdigit() and (int(pid) == os.getpid() or not psutil.pid_exists(int(pid))):
            shutil.rmtree(path, ignore_errors=True)
    folder = ControlFolder(run_root / f"{_PREFIX}{os.getpid()}")
    folder.path.mkdir(mode=0o700)
    return folder
