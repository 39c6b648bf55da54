"""The numbers in words."""

import hashlib
import os
import platform
import statistics
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from bench.pull.contenders import CONTENDERS, Run


def summary_line(name: str, runs: Sequence[Run], size_mib: float) -> str:
    wall, cpu = [run.wall_s for run in runs], [run.cpu_s for run in runs]
    middle = statistics.median(wall)
    return (
        f"{name:>13}: {size_mib / middle:.0f} MiB/s, {middle:.2f} s ({min(wall):.2f} to {max(wall):.2f}), "
        f"CPU {statistics.median(cpu):.2f} s"
    )


def machine() -> str:
    """What it ran on, with the speed of SHA-256 on one core, which bounds every verified download."""
    model = next(
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    )
    return (
        f"{os.cpu_count()} cores of {model}, Linux {platform.release()}, Python {platform.python_version()}, "
        f"huggingface_hub {version('huggingface_hub')}, aiohttp {version('aiohttp')}, "
        f"SHA-256 at {_sha256_mib_per_s():.0f} MiB/s per core"
    )


def markdown(
    rounds: Sequence[dict[str, Run]],
    ratios: Sequence[float],
    target: float,
    gib: int,
    files: int,
    where: str,
    load: float,
) -> str:
    """The page under `docs/benchmarks`."""
    rows = "\n".join(_row(name, [run[name] for run in rounds], gib * 1024) for name in (c.name for c in CONTENDERS))
    return f"""# Pulling: `freehold pull` and `hf download`

    python -m bench.pull --gib {gib} --files {files} --rounds {len(rounds)} --markdown docs/benchmarks/pull.md

An artifact of {gib} GiB in {files} files, served by `freehold mirror` on loopback, pulled {len(rounds)} times by each
into fresh folders, in alternating order. Times run from the start of the process to its end. Every pull was compared
with the original byte for byte.

| | MiB/s (median) | seconds: median | min | max | CPU seconds |
|---|---|---|---|---|---|
{rows}

**`freehold pull` reached {statistics.median(ratios):.2f} of the throughput of `hf download`** (per round
{min(ratios):.2f} to {max(ratios):.2f}; the target is {target}).

Measured on {where}; other work gave a load average of {load:.1f} when it began.

## What the difference is

- `freehold pull` computes the SHA-256 of every byte while it arrives and compares it with the hub's; `hf download`
  compares sizes. On this machine that is {gib * 1024 / _sha256_mib_per_s():.1f} of the CPU seconds above, spread over
  the cores by one hashing thread per file, and it is the limit: with a core to spare `freehold pull` is the faster of
  the two, on a busy machine the slower. A CPU with SHA extensions hashes several times as fast.
- It reads large bodies straight from the connection in pieces of up to 1 MiB instead of passing them through the HTTP
  client in pieces of 64 KiB. That saves about one CPU second per GiB, more than all else that was tried.
- It makes files durable (fsync) before they count as received. The disk is set to work every 32 MiB, so that little is
  left to wait for at the end.
- It resumes after a kill from the byte that was written last; `hf download` of huggingface_hub
  {version("huggingface_hub")} begins a file that was cut short by a kill anew.

Loopback is the worst case: below about {_sha256_mib_per_s() * 8 / 1000:.0f} Gbit/s one core hashes faster than bytes
arrive, and both take as long as the network does.

The mirror sends bodies by sendfile: about 0.2 CPU seconds per GiB and 2.8 GB/s to one client on this machine, where a
file response through uvicorn took 3.2 CPU seconds per GiB and reached 0.35 GB/s.
"""


def _row(name: str, runs: Sequence[Run], size_mib: float) -> str:
    wall, cpu = [run.wall_s for run in runs], [run.cpu_s for run in runs]
    middle = statistics.median(wall)
    return (
        f"| `{name}` | {size_mib / middle:.0f} | {middle:.2f} | {min(wall):.2f} | {max(wall):.2f} "
        f"| {statistics.median(cpu):.2f} |"
    )


def _sha256_mib_per_s() -> float:
    block, digest = bytes(1 << 20), hashlib.sha256()
    started = time.perf_counter()
    for _ in range(256):
        digest.update(block)
    return 256 / (time.perf_counter() - started)
