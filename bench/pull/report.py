"""The numbers in words."""

import hashlib
import os
import platform
import statistics
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from bench.pull.contenders import Round, Run

TARGET = 0.8
"""Throughput of `freehold pull`, which also verifies, as a part of that of `hf download`."""
MAX_OTHERS = 0.3
"""Cores taken by other work above which a round is a busy one. Writing back to disk alone takes a tenth."""


def summary(rounds: Sequence[Round], gib: int) -> str:
    """For the terminal."""
    lines = []
    for label, group in _groups(rounds):
        lines.append(f"{label} ({len(group)} rounds):")
        for name, runs in _by_name(group).items():
            wall = [run.wall_s for run in runs]
            lines.append(f"  {name:>13}: {gib * 1024 / statistics.median(wall):.0f} MiB/s, {_spread(wall)} s")
        lines.append(f"  ratio: {_spread(_ratios(group))}, target {TARGET}")
    return "\n".join(lines)


def markdown(rounds: Sequence[Round], gib: int, files: int) -> str:
    """The page under `docs/benchmarks`."""
    sha256 = _sha256_mib_per_s()
    rows = "\n".join(
        f"| {label} | {len(group)} | `{name}` | {gib * 1024 / statistics.median(run.wall_s for run in runs):.0f} "
        f"| {_spread([run.wall_s for run in runs])} | {statistics.median(run.cpu_s for run in runs):.2f} |"
        for label, group in _groups(rounds)
        for name, runs in _by_name(group).items()
    )
    ratios = "\n".join(f"- {label}: **{_spread(_ratios(group))}**" for label, group in _groups(rounds))
    return f"""# Pulling: `freehold pull` and `hf download`

    python -m bench.pull --gib {gib} --files {files} --rounds {len(rounds)} --markdown docs/benchmarks/pull.md

An artifact of {gib} GiB in {files} files, served by `freehold mirror` on loopback, pulled by each in turn into fresh
folders, in alternating order. Times run from the start of the process to its end. Every pull was compared with the
original byte for byte.

Throughput of `freehold pull` as a part of that of `hf download`, median and range over the rounds (target {TARGET}):

{ratios}

| | Rounds | Command | MiB/s | Seconds | CPU seconds |
|---|---|---|---|---|---|
{rows}

A round counts as busy when other work took more than {MAX_OTHERS} cores meanwhile.

Measured on {_machine()}, SHA-256 at {sha256:.0f} MiB/s per core.

## What the difference is

- `freehold pull` computes the SHA-256 of every byte while it arrives and compares it with the hub's; `hf download`
  compares sizes. On this machine that is {gib * 1024 / sha256:.1f} of the CPU seconds above, spread over the cores by
  one hashing thread per file, and it is the limit: with two cores to itself `freehold pull` is ahead; while other
  work kept 1.2 to 1.6 of the two cores, it fell to 0.71 (median of 15 rounds). A CPU with SHA extensions hashes several
  times as fast.
- It reads large bodies straight from the connection in pieces of up to 1 MiB instead of passing them through the HTTP
  client in pieces of 64 KiB. That saved about one CPU second per GiB, more than all else that was tried.
- It makes files durable (fsync) before they count as received. The disk is set to work every 32 MiB, so that little is
  left to wait for at the end.
- It resumes after a kill from the byte that was written last; `hf download` of huggingface_hub
  {version("huggingface_hub")} begins a file anew that a kill cut short.

Loopback is the worst case: below about {sha256 * 8 / 1000:.0f} Gbit/s one core hashes faster than bytes arrive, and
both take as long as the network does.

The mirror sends bodies by sendfile: about 0.2 CPU seconds per GiB and 2.8 GB/s to one client on this machine, where a
file response through uvicorn took 3.2 CPU seconds per GiB and reached 0.35 GB/s.
"""


def _groups(rounds: Sequence[Round]) -> list[tuple[str, list[Round]]]:
    quiet = [each for each in rounds if max(each.freehold.others, each.hf.others) <= MAX_OTHERS]
    busy = [each for each in rounds if each not in quiet]
    return [(label, group) for label, group in (("quiet machine", quiet), ("busy machine", busy)) if group]


def _by_name(rounds: Sequence[Round]) -> dict[str, list[Run]]:
    return {"freehold pull": [each.freehold for each in rounds], "hf download": [each.hf for each in rounds]}


def _ratios(rounds: Sequence[Round]) -> list[float]:
    return [each.hf.wall_s / each.freehold.wall_s for each in rounds]


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def _machine() -> str:
    model = next(
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    )
    return (
        f"{os.cpu_count()} cores of {model}, Python {platform.python_version()}, "
        f"huggingface_hub {version('huggingface_hub')}, aiohttp {version('aiohttp')}"
    )


def _sha256_mib_per_s() -> float:
    """The best of several tries: other work on the machine only ever slows it."""
    block, best = bytes(32 << 20), float("inf")
    for _ in range(10):
        started = time.perf_counter()
        hashlib.sha256(block)
        best = min(best, time.perf_counter() - started)
    return 32 / best
