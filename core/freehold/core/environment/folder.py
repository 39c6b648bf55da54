"""A folder that several processes want and one of them builds: locked, marked when complete, rebuilt when half made.

An environment cannot be built elsewhere and moved in place, since its scripts hold its own path. So the marker, written
last, is what tells a complete one from what a killed install left.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from freehold.core.errors import NotFoundError
from freehold.core.progress import hint

MARKER = ".complete"

_held: set[int] = set()


def is_complete(folder: Path) -> bool:
    return (folder / MARKER).is_file()


def read_marker(folder: Path) -> dict[str, Any]:
    """What `ensure_folder` was given to record. Raises NotFoundError when the folder is not complete."""
    try:
        recorded: dict[str, Any] = json.loads((folder / MARKER).read_text())
    except FileNotFoundError as error:
        raise NotFoundError(f"{folder} is no complete environment") from error
    return recorded


def ensure_folder(
    folder: Path, build: Callable[[Path], dict[str, Any]], *, is_usable: Callable[[Path], bool] = is_complete
) -> bool:
    """Build `folder` unless it is there; True when it was built now. What `build` returns goes into the marker."""
    if is_usable(folder):
        return False
    folder.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(folder.with_name(f".{folder.name}.lock"), what=str(folder)):
        if is_usable(folder):
            return False
        if folder.exists():
            hint(f"Removing {folder}: an earlier build of it did not finish, or its Python is gone.")
            shutil.rmtree(folder)
        try:
            record = build(folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        _write_marker(folder, record)
    return True


def remove_folder(folder: Path) -> None:
    """Delete it, unbuilt first: whatever interrupts this leaves a folder that counts as half made."""
    with exclusive(folder.with_name(f".{folder.name}.lock"), what=str(folder)):
        (folder / MARKER).unlink(missing_ok=True)
        shutil.rmtree(folder)


@contextmanager
def exclusive(lock_file: Path, *, what: str) -> Iterator[None]:
    """Hold `lock_file` alone. The kernel lets go of it when the process and the children that got it have ended."""
    descriptor = os.open(lock_file, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            hint(f"Waiting for another process that is working on {what} …")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        _held.add(descriptor)
        yield
    finally:
        _held.discard(descriptor)
        os.close(descriptor)


def locks_to_pass() -> tuple[int, ...]:
    """`pass_fds` for a child that writes below a locked folder: when we are killed, it keeps the lock until it ends."""
    return tuple(_held)


def _write_marker(folder: Path, record: dict[str, Any]) -> None:
    unfinished = folder / f"{MARKER}.new"
    unfinished.write_text(json.dumps(record, indent=2) + "\n")
    os.replace(unfinished, folder / MARKER)
