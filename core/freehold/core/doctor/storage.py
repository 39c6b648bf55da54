"""Disk, memory, and whether file locks work where Freehold keeps its data."""

import fcntl
import shutil
import tempfile
from pathlib import Path

import psutil

from freehold.core.doctor.check import Finding, Status
from freehold.core.progress import human_bytes

GIB = 1024**3
DISK_NEEDED = 10 * GIB
"""A small model, its imported form and an engine environment."""
MEMORY_NEEDED = 4 * GIB
"""What the demo's engine and Freehold take together, with some room."""


def existing_parent(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that exists."""
    return next(path for path in (folder, *folder.parents) if path.is_dir())


def check_disk(home: Path, free: int | None = None) -> Finding:
    free = shutil.disk_usage(existing_parent(home)).free if free is None else free
    finding = f"{human_bytes(free)} free at {home}"
    if free < DISK_NEEDED:
        remedy = "Clear old artifacts with `freehold store gc --yes`, or set FREEHOLD_HOME to a larger disk."
        return Finding(Status.WARN, f"{finding}: less than {human_bytes(DISK_NEEDED)}", remedy)
    return Finding(Status.OK, finding)


def check_memory(available: int | None = None) -> Finding:
    memory = psutil.virtual_memory()
    available = memory.available if available is None else available
    finding = f"{human_bytes(available)} of {human_bytes(memory.total)} available"
    if available < MEMORY_NEEDED:
        remedy = "Stop other programs; an engine that runs out of memory is killed without a word."
        return Finding(Status.WARN, f"{finding}: less than {human_bytes(MEMORY_NEEDED)}", remedy)
    return Finding(Status.OK, finding)


def check_file_locks(home: Path) -> Finding:
    """Lock a temporary file twice; some network file systems grant both, and downloads would trample each other."""
    place = existing_parent(home)
    try:
        with tempfile.TemporaryFile(dir=place) as held, Path(f"/proc/self/fd/{held.fileno()}").open("rb") as second:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return _try_second(second.fileno(), place)
    except OSError as error:
        remedy = "Set FREEHOLD_HOME to a folder of yours on a local disk."
        return Finding(Status.FAIL, f"{place}: {error.strerror or error}", remedy)


def _try_second(descriptor: int, place: Path) -> Finding:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return Finding(Status.OK, f"they hold at {place}")
    return Finding(Status.FAIL, f"{place} grants one lock twice", "Set FREEHOLD_HOME to a folder on a local disk.")
