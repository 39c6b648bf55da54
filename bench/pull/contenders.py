"""The two that are compared, each as its user starts it."""

import filecmp
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Run:
    """One pull from start to exit, start-up included."""

    wall_s: float
    cpu_s: float


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
    script = Path(sys.executable).with_name("hf")
    return [str(script), "download", repo, "--local-dir", str(target / "files"), "--quiet"]


CONTENDERS = (
    Contender("freehold pull", _freehold, lambda target: next((target / "home/store/artifacts").iterdir())),
    Contender("hf download", _hf, lambda target: target / "files"),
)


def measure(contender: Contender, url: str, repo: str, target: Path) -> Run:
    """Run one pull into the fresh folder `target`. Raises CalledProcessError if it fails."""
    target.mkdir()
    # What the last run left to be written must not slow this one.
    os.sync()
    environment = {
        **os.environ,
        "HF_ENDPOINT": url,
        "HF_HOME": str(target / "hf"),
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "FREEHOLD_HOME": str(target / "home"),
    }
    before, started = os.times(), time.perf_counter()
    done = subprocess.run(contender.command(repo, target), env=environment, capture_output=True, text=True, check=False)
    wall_s, after = time.perf_counter() - started, os.times()
    if done.returncode:
        raise SystemExit(f"{contender.name} failed:\n{done.stderr}")
    cpu = (after.children_user - before.children_user) + (after.children_system - before.children_system)
    return Run(wall_s, cpu)


def is_identical(original: Path, copy: Path) -> bool:
    """Whether every weight and config of the original is in the copy, byte for byte."""
    names = [path.name for path in original.iterdir() if path.name != "freehold.json"]
    _, differing, failed = filecmp.cmpfiles(original, copy, names, shallow=False)
    return not differing and not failed
