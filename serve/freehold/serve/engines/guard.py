"""The guard: stands between `freehold serve` and an engine so that no process outlives its parent.

Run as `python -m freehold.serve.engines.guard --grace 20 -- COMMAND …` with a pipe as standard input, whose first line
is the command's environment in JSON: the engine's settings must not reach the guard. It leads its own session. The
kernel closes the pipe when the parent goes, however it is killed; the guard then ends the engine and everything that
the engine started. Orphans of the engine come back to the guard, since it is a subreaper (prctl(2)).
"""

import argparse
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from freehold.serve.engines.leash import GUARD_VARIABLE

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
SOCKETS_VARIABLE = "VLLM_RPC_BASE_PATH"
COMPILED_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"
SOCKET_NAME = 36
"""Characters of the name that vLLM gives one."""
LONGEST_SOCKET = 107
"""Bytes of a socket's path (unix(7)); where the system's temporary folder leaves no room, vLLM keeps its own way."""
ORPHANED_GRACE_S = 5.0
"""Nobody waits for an engine whose parent is gone."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Run a command; end it and all its descendants with the parent.")
    parser.add_argument("--grace", type=float, default=20.0, help="seconds between SIGTERM and SIGKILL")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    env: dict[str, str] = json.loads(sys.stdin.readline())
    with temporary_folder(env) as variables:
        return guard(command, variables, arguments.grace)


@contextmanager
def temporary_folder(env: dict[str, str]) -> Iterator[dict[str, str]]:
    """The environment with a folder of the engine's own for sockets and temporary files.

    vLLM makes them anew at each start (`vllm_dist_…`, and sockets named by UUID) and removes none. What PyTorch
    compiled lies with what vLLM did, for the next start, and not among temporary files.
    """
    usual = Path(env.get("TMPDIR") or tempfile.gettempdir())
    place = usual if usual.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="fh-", dir=place, ignore_cleanup_errors=True) as folder:
        if len(folder) + 1 + SOCKET_NAME > LONGEST_SOCKET:
            yield env
            return
        compiled = str(_vllm_cache(env) / "torchinductor")
        yield {SOCKETS_VARIABLE: folder, COMPILED_VARIABLE: compiled, **env, "TMPDIR": folder}


def _vllm_cache(env: dict[str, str]) -> Path:
    """As vLLM finds it (`vllm/envs.py`)."""
    if root := env.get("VLLM_CACHE_ROOT"):
        return Path(root).expanduser()
    return Path(env.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser() / "vllm"


def guard(command: list[str], env: dict[str, str], grace_s: float) -> int:
    """Run `command` to its end, until SIGTERM, or until standard input closes. Returns its exit status."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    # preexec_fn is safe here: the guard has one thread.
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        env={**env, GUARD_VARIABLE: str(os.getpid())},
        preexec_fn=lambda: _prctl(PR_SET_PDEATHSIG, signal.SIGKILL),
    )
    grace = _wait_for_reason(child, woken, grace_s)
    _end_descendants(child, grace)
    status = child.wait()
    _reap_orphans()
    return status if status >= 0 else 128 - status


def _wait_for_reason(child: "subprocess.Popen[bytes]", woken: int, grace_s: float) -> float:
    """Block until there is a reason to end; returns the grace that this reason allows."""
    parent = sys.stdin.fileno()
    while child.poll() is None:
        readable, _, _ = select.select([parent, woken], [], [])
        if parent in readable and not os.read(parent, 4096):
            return ORPHANED_GRACE_S
        if woken in readable and set(os.read(woken, 4096)) & {signal.SIGTERM, signal.SIGINT}:
            return grace_s
    return 0.0


def _end_descendants(child: "subprocess.Popen[bytes]", grace_s: float) -> None:
    if child.poll() is None:
        child.terminate()
        deadline = time.monotonic() + grace_s
        while child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
    # Descendants may start others while they are being killed: go on until there is none.
    while remaining := [process for process in psutil.Process().children(recursive=True) if _is_alive(process)]:
        for process in remaining:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(remaining, timeout=1)


def _reap_orphans() -> None:
    """Collect the exit statuses of adopted orphans; in a container nobody else would."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    sys.exit(main())
