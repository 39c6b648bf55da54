"""Orphans: engine processes whose `freehold serve` is gone, found by the mark that it left in their environment."""

import os
from pathlib import Path

import psutil

OWNER_VARIABLE = "FREEHOLD_ENGINE_OWNER"


def leash_environment() -> dict[str, str]:
    """The mark for a child of this process: our process id and start time, which together are never used twice."""
    return {OWNER_VARIABLE: _mark(os.getpid())}


def find_orphans() -> list[psutil.Process]:
    """Our user's processes that bear a mark whose owner no longer runs."""
    marked = {process: mark for process in psutil.process_iter() if (mark := _read_mark(process))}
    alive = {mark: _is_running(mark) for mark in set(marked.values())}
    return [process for process, mark in marked.items() if not alive[mark]]


def end_orphans() -> list[int]:
    """Kill them; returns their process ids."""
    orphans = find_orphans()
    for process in orphans:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(orphans, timeout=5)
    return [process.pid for process in orphans]


def _mark(pid: int) -> str:
    """Raises FileNotFoundError if there is no such process.

    The start is in clock ticks since boot (proc(5), `starttime`): a time of day would move with the system's clock, and
    a running `freehold serve` would look gone.
    """
    stat = Path(f"/proc/{pid}/stat").read_text()
    started = stat.rpartition(")")[2].split()[19]
    return f"{pid}:{started}"


def _is_running(mark: str) -> bool:
    try:
        return _mark(int(mark.partition(":")[0])) == mark
    except (FileNotFoundError, ProcessLookupError):
        return False


def _read_mark(process: psutil.Process) -> str | None:
    # psutil's environ() parses everything; this is read for every process of the machine.
    try:
        raw = Path(f"/proc/{process.pid}/environ").read_bytes()
    except OSError:
        return None
    prefix = f"{OWNER_VARIABLE}=".encode()
    found = next((entry for entry in raw.split(b"\0") if entry.startswith(prefix)), None)
    return found.removeprefix(prefix).decode() if found and process.pid != os.getpid() else None
