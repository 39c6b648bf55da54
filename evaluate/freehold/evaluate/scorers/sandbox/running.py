"""Starts a program in the sandbox, and ends it."""

import asyncio
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Literal

from freehold.core.leash import leashed

INSIDE = Path(__file__).with_name("inside.py")
NAMESPACES = ("--user", "--map-root-user", "--net", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child")
MOST_OUTPUT = 64 * 1024
"""Bytes of what a program printed that are looked at: the last ones."""

Kind = Literal["namespaces", "process"]


@dataclass(frozen=True)
class Limits:
    """What a program may use."""

    wall_s: float
    memory_bytes: int
    disk_bytes: int = 16 * 1024 * 1024


@dataclass(frozen=True)
class Ended:
    """How a program ended."""

    status: int
    """Exit status; negative for a signal."""
    output: str
    """The end of it."""
    errors: str
    stopped: str = ""
    """Why it was ended from outside; empty if it ended by itself."""


async def run(program: str, limits: Limits, kind: Kind = "namespaces") -> Ended:
    """Run a Python program to its end, or to its limits."""
    with (
        tempfile.TemporaryDirectory(prefix="freehold-sandbox-", ignore_cleanup_errors=True) as folder,
        tempfile.TemporaryFile() as given,
        tempfile.TemporaryFile() as output,
        tempfile.TemporaryFile() as errors,
    ):
        given.write(program.encode("utf-8", "replace"))
        given.seek(0)
        # Files and not pipes: the limit of a file's size is then one of what is printed.
        process = await asyncio.create_subprocess_exec(
            *_command(kind, folder, limits),
            stdin=given,
            stdout=output,
            stderr=errors,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            cwd=folder,
            start_new_session=True,
        )
        stopped = ""
        try:
            await asyncio.wait_for(process.wait(), limits.wall_s)
        except TimeoutError:
            stopped = f"it ran for more than {limits.wall_s:g} s"
        finally:
            # Also what it left running: outside of namespaces, children outlive it.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        assert process.returncode is not None, "waited for"
        return Ended(process.returncode, _tail(output), _tail(errors), stopped)


def _tail(file: IO[bytes]) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - MOST_OUTPUT))
    return file.read().decode("utf-8", "replace")


def _command(kind: Kind, folder: str, limits: Limits) -> tuple[str, ...]:
    # Not the virtual environment's: what is installed there is none of the program's business.
    python = str(Path(sys.executable).resolve())
    given = {
        "root": folder if kind == "namespaces" else "",
        "folder": folder,
        "python": python,
        "python_root": str(Path(sys.base_prefix).resolve()),
        "memory_bytes": limits.memory_bytes,
        "disk_bytes": limits.disk_bytes,
        # Later than the wall's, which says why: this one is for what escapes it.
        "cpu_s": math.ceil(limits.wall_s) + 5,
    }
    inner = (python, "-I", "-S", "-B", str(INSIDE), json.dumps(given))
    if kind == "process":
        return leashed(*inner, ending=signal.SIGKILL)
    return leashed(shutil.which("unshare") or "unshare", *NAMESPACES, *inner, ending=signal.SIGKILL)


@cache
def obstacle(kind: Kind) -> str:
    """What keeps the sandbox from working on this machine; empty when nothing does."""
    if kind == "namespaces" and shutil.which("unshare") is None:
        return "there is no `unshare` (util-linux)"
    with tempfile.TemporaryDirectory(prefix="freehold-sandbox-") as folder:
        command = _command(kind, folder, Limits(10, 2**29))
        ended = subprocess.run(
            command, input=b"print('inside')", capture_output=True, cwd=folder, timeout=60, check=False
        )
    if ended.returncode == 0 and ended.stdout.strip() == b"inside":
        return ""
    said = ended.stderr.decode("utf-8", "replace").strip().splitlines()
    return said[-1] if said else f"the sandbox ended with status {ended.returncode}"
