"""The leash: a plugin that vLLM loads in each of its processes, and that ends the process with its guard.

The guard ends the engine when the parent dies. If somebody kills both at once (`pkill -9 -f freehold`), nobody is left
to do it but the processes themselves. Imports nothing but the standard library, since it runs inside the engine.
"""

import os
import select
import signal
import threading

GUARD_VARIABLE = "FREEHOLD_GUARD_PID"


def install() -> None:
    """Watch the guard named in the environment; without one (a vLLM that is not ours) do nothing."""
    guard = os.environ.get(GUARD_VARIABLE)
    if guard is None or not hasattr(os, "pidfd_open"):
        return
    _watch(int(guard))
    # Threads do not survive a fork, and a forked worker loads its plugins no second time.
    os.register_at_fork(after_in_child=lambda: _watch(int(guard)))


def _watch(guard: int) -> None:
    threading.Thread(target=_end_with, args=(guard,), name="freehold-leash", daemon=True).start()


def _end_with(guard: int) -> None:
    try:
        descriptor = os.pidfd_open(guard)
    except ProcessLookupError:
        os.kill(os.getpid(), signal.SIGKILL)
        return
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    poll.poll()
    os.kill(os.getpid(), signal.SIGKILL)
