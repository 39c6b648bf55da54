"""Runs a command with less than this process may use: `python -m freehold.serve.confinement --nice 10 -- COMMAND …`.

The limits hold for each process that the command starts, too (setrlimit(2)).
"""

import argparse
import ctypes
import os
import resource
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> int:
    parser = argparse.ArgumentParser(description="Run a command under limits.")
    parser.add_argument("--nice", type=int, default=0, help="how much to step back behind other processes")
    parser.add_argument("--data-bytes", type=int, help="most memory of a process (RLIMIT_DATA)")
    parser.add_argument("--cpu-s", type=int, help="most CPU time of a process")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args()
    command = given.command[1:] if given.command[:1] == ["--"] else given.command
    # The parent's end is this one's: the kernel keeps that over execve(2).
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.nice(given.nice)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump would hold the team's data
    for kind, limit in ((resource.RLIMIT_DATA, given.data_bytes), (resource.RLIMIT_CPU, given.cpu_s)):
        if limit is not None:
            resource.setrlimit(kind, (limit, limit))
    os.execvp(command[0], command)


def confined(*command: str, nice: int = 10, data_bytes: int | None = None, cpu_s: int | None = None) -> tuple[str, ...]:
    """The command line that runs `command` so."""
    limits = (("--data-bytes", data_bytes), ("--cpu-s", cpu_s))
    given = [word for name, limit in limits if limit is not None for word in (name, str(limit))]
    return (sys.executable, "-m", "freehold.serve.confinement", "--nice", str(nice), *given, "--", *command)


if __name__ == "__main__":
    sys.exit(main())
