"""Becomes `freehold`, tied to the process that started it: `python -m freehold.core.rehearsal.launcher PARENT ARG…`.

The kernel ends it with its parent (prctl(2), PR_SET_PDEATHSIG outlives execve), however that is killed. Asked for here
and not between fork and exec of the parent, whose threads (torch's) make running Python there unsafe.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, *arguments = sys.argv[1:]
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != int(parent):
        sys.exit(0)  # it went before we asked to be told
    os.execv(sys.executable, [sys.executable, "-m", "freehold.core.cli", *arguments])


if __name__ == "__main__":
    main()
