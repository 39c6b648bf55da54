"""The run: every scenario through the same gateway, round after round, in random order."""

import json
import random
import re
import subprocess
import sys
import urllib.request
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.gateway import processes
from bench.gateway.load import Load
from bench.gateway.workloads import MODEL
from bench.shadow.scenarios import CRASHING, HANGING, HEALTHY, REFUSING, SCENARIOS

Round = dict[str, Load]
"""By scenario."""

_COPIES = re.compile(r"^freehold_shadow_requests_total\{(.*)\} (\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Results:
    rounds: list[Round]
    copies: dict[str, Counter[str]]
    """By scenario: how many copies came to which end."""


def measure_all(rounds: int, scratch: Path) -> Results:
    """Start everything once, warm it up, and measure."""
    gateway_core, load_core = processes.cores()
    with ExitStack() as stack:
        engine, hanging, crashing, refusing, port = (processes.free_port() for _ in range(5))
        urls = dict.fromkeys((MODEL, HEALTHY), f"http://127.0.0.1:{engine}")
        urls |= {HANGING: f"http://127.0.0.1:{hanging}", CRASHING: f"http://127.0.0.1:{crashing}"}
        urls[REFUSING] = f"http://127.0.0.1:{refusing}"
        command = [sys.executable, "-m", "bench.shadow.engines", str(engine), str(hanging), str(crashing)]
        log = scratch / "engines.log"
        stack.enter_context(processes.running(command, load_core, log, {}, f"{urls[MODEL]}/health"))
        named = [f"{name}={url}" for name, url in urls.items()]
        command = [sys.executable, "-m", "bench.shadow.house", str(port), str(scratch / "house"), *named]
        url, log = f"http://127.0.0.1:{port}", scratch / "gateway.log"
        stack.enter_context(processes.running(command, gateway_core, log, {}, f"{url}/health"))
        for scenario in SCENARIOS:
            _load(url, scenario, load_core)
        measured: list[Round] = []
        for number in range(1, rounds + 1):
            print(f"Round {number} of {rounds}", flush=True)
            order = random.sample(SCENARIOS, len(SCENARIOS))
            measured.append({scenario: _load(url, scenario, load_core) for scenario in order})
        return Results(measured, _copies(url))


def _load(url: str, scenario: str, core: int) -> Load:
    command = ["taskset", "-c", str(core), sys.executable, "-m", "bench.shadow.load", url, scenario]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise SystemExit(f"The load failed with the shadow '{scenario}':\n{result.stderr}")
    load = Load(**json.loads(result.stdout))
    if load.errors:
        raise SystemExit(f"With the shadow '{scenario}' {load.errors} requests failed: {load.first_error}")
    return load


def _copies(url: str) -> dict[str, Counter[str]]:
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    found: dict[str, Counter[str]] = {scenario: Counter() for scenario in SCENARIOS}
    for labels, count in _COPIES.findall(text):
        named = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        found[named["route"]][named["result"]] += int(count)
    return found
