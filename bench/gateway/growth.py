"""Show that the gateway does not grow: `python -m bench.gateway.growth [--requests 120000] [--step 20000]`.

Prints its memory after every step, and exits with 1 if it has grown by more than 5 % since the first one.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import psutil

from bench.gateway import processes
from bench.gateway.growth_house import KEYS

LIMIT = 0.05
SETTLE_S = 5.0
"""Longer than anything that a request leaves behind takes: leases of idle keys, batches of usage, records."""


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="freehold-bench-") as scratch:
        sizes = measure(arguments.requests, arguments.step, Path(scratch))
    growth = sizes[-1] / sizes[0] - 1
    print(f"Since the first {arguments.step:,} requests: {growth:+.1%}, allowed {LIMIT:.0%}")
    sys.exit(growth > LIMIT)


def measure(requests: int, step: int, scratch: Path) -> list[float]:
    """Resident MB after each step."""
    gateway_core, load_core = processes.cores()
    with ExitStack() as stack:
        engine, port = processes.free_port(), processes.free_port()
        engine_url, url = f"http://127.0.0.1:{engine}", f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "bench.gateway.mock", str(engine)]
        log = scratch / "engine.log"
        stack.enter_context(processes.running(command, load_core, log, {}, f"{engine_url}/health"))
        command = [sys.executable, "-m", "bench.gateway.growth_house", str(port), engine_url, str(scratch / "home")]
        log = scratch / "gateway.log"
        pid = stack.enter_context(processes.running(command, gateway_core, log, {}, f"{url}/health"))
        print("| requests | RSS MB | statuses (0: the client left) |\n|---|---|---|")
        print(f"| 0 | {_rss_mb(pid):.1f} | {KEYS:,} keys |", flush=True)
        sizes = []
        for first in range(0, requests, step):
            statuses = _load(url, first, step, load_core)
            time.sleep(SETTLE_S)
            sizes.append(_rss_mb(pid))
            told = ", ".join(f"{count:,} × {status}" for status, count in sorted(statuses.items()))
            print(f"| {first + step:,} | {sizes[-1]:.1f} | {told} |", flush=True)
        return sizes


def _load(url: str, first: int, count: int, core: int) -> dict[str, int]:
    command = [sys.executable, "-m", "bench.gateway.growth_load", url, str(first), str(count)]
    result = subprocess.run(["taskset", "-c", str(core), *command], capture_output=True, text=True, check=False)
    if result.returncode:
        raise SystemExit(f"The load failed:\n{result.stderr}")
    statuses: dict[str, int] = json.loads(result.stdout)
    return statuses


def _rss_mb(pid: int) -> float:
    return psutil.Process(pid).memory_info().rss / 2**20


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.gateway.growth",
        description="Measure the gateway's memory under all kinds of requests.",
        epilog="Examples:\n  python -m bench.gateway.growth\n  python -m bench.gateway.growth --requests 1000000",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--requests", type=int, default=120_000, help="in all (default: %(default)s)")
    parser.add_argument("--step", type=int, default=20_000, help="between two looks (default: %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
