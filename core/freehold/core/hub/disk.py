"""Room on the disk: asked before a transfer, and explained when it runs out in the middle."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from freehold.core.errors import EnvironmentProblem
from freehold.core.progress import human_bytes

_FULL = {errno.ENOSPC, errno.EDQUOT}


def check_disk(root: Path, needed_bytes: int) -> None:
    """Raise EnvironmentProblem, saying how much is missing and where, unless `needed_bytes` more fit below `root`."""
    free = _free_bytes(root)
    if needed_bytes > free:
        raise EnvironmentProblem(
            f"Not enough room in {root}",
            why=f"{human_bytes(needed_bytes)} are needed, {human_bytes(free)} are free, "
            f"{human_bytes(needed_bytes - free)} are missing",
            next_step="Make room there (`freehold store gc`), or set FREEHOLD_HOME to a folder on a larger disk.",
        )


@contextmanager
def explained_when_full(path: Path, missing_bytes: int) -> Iterator[None]:
    """Turn "no space left" and "quota exceeded" into an EnvironmentProblem; `missing_bytes` are still to come."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise EnvironmentProblem(
            f"The disk is full while writing {path}",
            why=f"{human_bytes(missing_bytes)} of this file are still to come, "
            f"{human_bytes(_free_bytes(path.parent))} are free in {path.parent}",
            next_step="Make room there and run the same command again: it goes on where it stopped.",
        ) from error


def _free_bytes(folder: Path) -> int:
    existing = next(parent for parent in (folder, *folder.parents) if parent.is_dir())
    return shutil.disk_usage(existing).free
