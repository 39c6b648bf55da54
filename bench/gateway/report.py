"""Medians and spreads of what was measured, as a page."""

import os
import platform
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from bench.gateway.load import Load
from bench.gateway.workloads import FIRST_TOKEN, PACED, PLAIN_1, PLAIN_16, PLAIN_64, UNPACED, Workload

DIRECT = "direct"


@dataclass(frozen=True)
class Measurement:
    """One workload on one contender."""

    load: Load
    cpu_s: float


Round = dict[str, dict[str, Measurement]]
"""By contender, then by workload."""

Figure = Callable[[Round, str], float]


def _requests_per_s(workload: Workload) -> Figure:
    return lambda row, name: row[name][workload.name].load.requests / row[name][workload.name].load.wall_s


def _cpu_per_request_us(workload: Workload) -> Figure:
    return lambda row, name: row[name][workload.name].cpu_s / row[name][workload.name].load.requests * 1e6


def _cpu_per_chunk_us(workload: Workload) -> Figure:
    return lambda row, name: _cpu_per_request_us(workload)(row, name) / workload.chunks


def _added_ms(workload: Workload, samples: Callable[[Load], list[float]], percent: int) -> Figure:
    def added(row: Round, name: str) -> float:
        through, direct = (percentile(samples(row[who][workload.name].load), percent) for who in (name, DIRECT))
        return through - direct

    return added


def percentile(samples: Sequence[float], percent: int) -> float:
    """The smallest sample that at least so many percent do not exceed."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, -(-percent * len(ordered) // 100) - 1)]


CPU_PER_REQUEST = "CPU µs per request, 16 clients"
CPU_PER_UNPACED_CHUNK = "CPU µs per chunk, unpaced"

FIGURES: dict[str, Figure] = {
    CPU_PER_REQUEST: _cpu_per_request_us(PLAIN_16),
    "CPU µs per request, 1 client": _cpu_per_request_us(PLAIN_1),
    "requests/s, 1 client": _requests_per_s(PLAIN_1),
    "requests/s, 16": _requests_per_s(PLAIN_16),
    "requests/s, 64": _requests_per_s(PLAIN_64),
    "added p50 ms": _added_ms(PLAIN_1, lambda load: load.latencies_ms, 50),
    "added p99 ms": _added_ms(PLAIN_1, lambda load: load.latencies_ms, 99),
    "added TTFT p50 ms": _added_ms(FIRST_TOKEN, lambda load: load.first_event_ms, 50),
    CPU_PER_UNPACED_CHUNK: _cpu_per_chunk_us(UNPACED),
    "CPU µs per chunk, 5 ms pace": _cpu_per_chunk_us(PACED),
}
_OF_A_GATEWAY_ONLY = [name for name in FIGURES if not name.startswith("requests/s")]


def values(rounds: Sequence[Round], contender: str, figure: str) -> list[float]:
    """One value per round; none for what makes no sense without a gateway."""
    if contender == DIRECT and figure in _OF_A_GATEWAY_ONLY:
        return []
    return [FIGURES[figure](row, contender) for row in rounds]


def table(rounds: Sequence[Round], names: Sequence[str], rss_mb: dict[str, float]) -> str:
    """Median, and smallest to largest of all rounds."""
    lines = [f"| | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    for figure in FIGURES:
        cells = [_cell(values(rounds, name, figure)) for name in names]
        lines.append(f"| {figure} | {' | '.join(cells)} |")
    lines.append(f"| peak RSS MB | {' | '.join(f'{rss_mb[name]:.0f}' if name in rss_mb else '–' for name in names)} |")
    return "\n".join(lines)


def _cell(measured: Sequence[float]) -> str:
    if not measured:
        return "–"
    return f"**{_round(statistics.median(measured))}** ({_round(min(measured))}–{_round(max(measured))})"


def _round(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def machine() -> str:
    """What it ran on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown CPU")
    parts = ", ".join(f"{name} {version(name)}" for name in ("uvicorn", "uvloop", "httptools"))
    return f"{os.cpu_count()} cores of {model}, Linux {platform.release()}, Python {platform.python_version()}, {parts}"


def page(body: str, verdict: str, rounds: int, skipped: Sequence[str], load_average: float, command: str) -> str:
    """The page under `docs/benchmarks`."""
    left_out = "".join(f"\nNot measured: {reason}.\n" for reason in skipped)
    return f"""# What the gateway costs

Written by `{command}`. Medians of {rounds} rounds, smallest and largest in brackets. Every round puts every workload on
every gateway, in random order, so that a slow moment of the machine hits all alike.

{body}

{verdict}
{left_out}
- Each gateway has one core to itself, its threads and child processes included. The mock engine and the load share
  another; that core, not the gateway, bounds the faster rows. The engine is raw ASGI and answers at once, the load is
  raw sockets that check every answer to its last event.
- CPU is the scheduler's own account of the gateway's process tree. It is the firm figure: times and rates move with
  whatever else the machine does (load average before the run: {load_average:.1f}).
- "Added" is the difference to the same requests sent to the engine directly, in the same round, by one client.
- A plain request is a chat of 800 bytes with an answer of 500. Unpaced streams carry 512 events as fast as the
  connection takes them, 4 at a time; paced ones 64 events 5 ms apart, 16 at a time. The cost of the request itself is
  spread over its chunks.
- Freehold runs as `freehold serve` runs it, metrics on. litellm runs without a database and with its key check;
  vllm-router balances over its one engine; FastAPI + httpx is a proxy of thirty lines (`bench/gateway/proxy.py`).

{machine()}.
"""
