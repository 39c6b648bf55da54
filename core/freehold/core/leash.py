"""Becomes another program, tied to the process that started it: `python -m freehold.core.leash PARENT SIGNAL COMMAND…`.

The kernel ends it with its parent (prctl(2), PR_SET_PDEATHSIG outlives execve), however that is killed. Asked for here
and not between fork and exec of the parent, whose threads (torch's) make running Python there unsafe.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def leashed(*command: str, ending: signal.Signals = signal.SIGTERM) -> tuple[str, ...]:
    """The command line that runs `command`, a program and its arguments, for no longer than this process lives."""
    return (sys.executable, "-m", "freehold.core.leash", str(os.getpid()), str(int(ending)), *command)


def main() -> None:
    parent, ending, *command = sys.argv[1:]
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(ending)) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != int(parent):
        sys.exit(0)  # it went before we asked to be told
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
