"""The two that are compared, each as its user starts it."""

import filecmp
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.pull.scene import Mirror

QUIET_PERCENT = 10


@dataclass(frozen=True)
class Run:
    """One pull from start to exit, start-up included."""

    wall_s: float
    cpu_s: float
    others: float
    """Cores that neither this process nor the mirror had: other work, and what the hypervisor took."""


@dataclass(frozen=True)
class Round:
    """Both, one after the other."""

    freehold: Run
    hf: Run


@dataclass(frozen=True)
class Contender:
    """A command, and where below its target folder the files end up."""

    name: str
    command: Callable[[str, Path], list[str]]
    result: Callable[[Path], Path]


def _freehold(repo: str, target: Path) -> list[str]:
    # The command itself rather than the console script, so that the benchmark needs no installation.
    program = "from freehold.core.cli.pull import app; app()"
    return [sys.executable, "-c", program, repo, "--no-probe", "--lock-file", str(target / "freehold.lock")]


def _hf(repo: str, target: Path) -> list[str]:
    return [
        sys.executable,
        "-m",
        "huggingface_hub.cli.hf",
        "download",
        repo,
        "--local-dir",
        str(target / "files"),
        "--quiet",
    ]


CONTENDERS = (
    Contender("freehold pull", _freehold, lambda target: next((target / "home/store/artifacts").iterdir())),
    Contender("hf download", _hf, lambda target: target / "files"),
)


def wait_for_quiet(patience_s: float) -> None:
    """Return once other work leaves the processors alone for a second, or when patience ends."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline and psutil.cpu_percent(1) > QUIET_PERCENT:
        pass


def measure(contender: Contender, mirror: Mirror, repo: str, target: Path) -> Run:
    """Run one pull into the fresh folder `target`. Raises CalledProcessError if it fails."""
    target.mkdir()
    # What the last run left to be written must not slow this one.
    os.sync()
    environment = {
        **os.environ,
        "HF_ENDPOINT": mirror.url,
        "HF_HOME": str(target / "hf"),
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "FREEHOLD_HOME": str(target / "home"),
    }
    clock = _Clock(mirror.pid)
    done = subprocess.run(contender.command(repo, target), env=environment, capture_output=True, text=True, check=False)
    run = clock.read()
    if done.returncode:
        raise SystemExit(f"{contender.name} failed:\n{done.stderr}")
    return run


class _Clock:
    """Time, and who had the processors, since it was made."""

    def __init__(self, mirror_pid: int) -> None:
        self._mirror = psutil.Process(mirror_pid)
        self._machine_s, self._mirror_s, self._child_s = self._cpu()
        self._started = time.perf_counter()

    def read(self) -> Run:
        wall_s = time.perf_counter() - self._started
        machine_s, mirror_s, child_s = self._cpu()
        own_s = child_s - self._child_s
        others_s = machine_s - self._machine_s - own_s - (mirror_s - self._mirror_s)
        return Run(wall_s, own_s, max(others_s, 0) / wall_s)

    def _cpu(self) -> tuple[float, float, float]:
        machine, mirror, children = psutil.cpu_times(), self._mirror.cpu_times(), os.times()
        # Time of virtual machines is part of user time already.
        busy = machine.user + machine.nice + machine.system + machine.irq + machine.softirq + machine.steal
        return busy, mirror.user + mirror.system, children.children_user + children.children_system


def is_identical(original: Path, copy: Path) -> bool:
    """Whether every weight and config of the original is in the copy, byte for byte."""
    names = [path.name for path in original.iterdir() if path.name != "freehold.json"]
    _, differing, failed = filecmp.cmpfiles(original, copy, names, shallow=False)
    return not differing and not failed
