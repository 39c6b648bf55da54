"""Start a process on one core, read what it and its children have cost, and end them all."""

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

START_TIMEOUT_S = 180.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def cores() -> tuple[int, int]:
    """(core of the gateway, core of the mock engine and the load)."""
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        raise SystemExit("This benchmark needs two cores: one for the gateway, one for everything else.")
    return usable[0], usable[1]


@contextlib.contextmanager
def running(
    command: Sequence[str],
    core: int,
    log: Path,
    env: dict[str, str],
    ready_url: str,
    limit_s: float = START_TIMEOUT_S,
) -> Iterator[int]:
    """The process, once it answers on `ready_url`; its whole group is ended at the end."""
    # A program that may not keep its byte code compiles modules again on each import, litellm even on each request.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**inherited, **env},
            start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        )
    try:
        _wait_for(process, ready_url, log, limit_s)
        yield process.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_for(process: subprocess.Popen[bytes], url: str, log: Path, limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"{process.args!r} ended with {process.returncode}:\n{log.read_text()[-2000:]}")
        with contextlib.suppress(urllib.error.URLError, OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.2)
    raise SystemExit(f"{process.args!r} did not answer on {url}:\n{log.read_text()[-2000:]}")


def cpu_s(pid: int) -> float:
    """CPU time of a process and its descendants, in the scheduler's nanoseconds where there are any."""
    return sum(_own_cpu_s(member) for member in _tree(pid))


def _own_cpu_s(process: psutil.Process) -> float:
    try:
        threads = Path(f"/proc/{process.pid}/task").iterdir()
        return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9
    except FileNotFoundError:
        times = process.cpu_times()
        return float(times.user + times.system)


def peak_rss_mb(pid: int) -> float:
    """Sum of the peaks of a process and its descendants."""
    total = 0
    for member in _tree(pid):
        for line in Path(f"/proc/{member.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                total += int(line.split()[1])
    return total / 1024


def _tree(pid: int) -> list[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]
