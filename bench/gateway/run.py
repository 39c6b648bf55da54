"""The run: every workload on every contender, round after round, in random order."""

import json
import random
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.gateway import processes
from bench.gateway.contenders import FREEHOLD, Contender
from bench.gateway.load import Load
from bench.gateway.report import DIRECT, Measurement, Round
from bench.gateway.workloads import WORKLOADS, Workload

PEERS_TRIES = 3


@dataclass(frozen=True)
class Target:
    """Something that answers."""

    name: str
    url: str
    pid: int
    authorization: str = ""


@dataclass(frozen=True)
class Results:
    rounds: list[Round]
    rss_mb: dict[str, float]


def measure_all(contenders: Sequence[Contender], rounds: int, cache: Path, scratch: Path) -> Results:
    """Start everything once, warm it up, and measure."""
    gateway_core, load_core = processes.cores()
    with ExitStack() as stack:
        engine = _start_engine(stack, load_core, scratch)
        targets = [engine, *(_start(stack, one, gateway_core, engine.url, cache, scratch) for one in contenders)]
        for target in targets:
            for workload in WORKLOADS:
                _load(target, workload, load_core)
        measured: list[Round] = []
        for number in range(1, rounds + 1):
            print(f"Round {number} of {rounds}", flush=True)
            measured.append(_round(targets, load_core))
        return Results(measured, {one.name: processes.peak_rss_mb(one.pid) for one in targets if one.name != DIRECT})


def _start_engine(stack: ExitStack, core: int, scratch: Path) -> Target:
    port = processes.free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "bench.gateway.mock", str(port)]
    pid = stack.enter_context(processes.running(command, core, scratch / "engine.log", {}, f"{url}/health"))
    return Target(DIRECT, url, pid)


def _start(stack: ExitStack, one: Contender, core: int, engine_url: str, cache: Path, scratch: Path) -> Target:
    print(f"Starting {one.name}", flush=True)
    port = processes.free_port()
    url = f"http://127.0.0.1:{port}"
    command = one.command(one.environment(cache), port, engine_url, scratch)
    log = scratch / f"{one.name.split()[0]}.log"
    pid = stack.enter_context(processes.running(command, core, log, one.env, url + one.ready_path))
    return Target(one.name, url, pid, one.authorization)


def _round(targets: Sequence[Target], load_core: int) -> Round:
    pairs = [(target, workload) for target in targets for workload in WORKLOADS]
    random.shuffle(pairs)
    measured: Round = {target.name: {} for target in targets}
    for target, workload in pairs:
        before = processes.cpu_s(target.pid)
        load = _load(target, workload, load_core)
        measured[target.name][workload.name] = Measurement(load, processes.cpu_s(target.pid) - before)
    return measured


def _load(target: Target, workload: Workload, core: int) -> Load:
    """The load without an error. A peer may try again: its errors are not what is measured, ours end the run."""
    for left in reversed(range(1 if target.name.startswith(FREEHOLD) else PEERS_TRIES)):
        load = _try(target, workload, core)
        if not load.errors:
            return load
        said = f"{target.name} failed {workload.name} {load.errors} times: {load.first_error}"
        if not left:
            raise SystemExit(said)
        print(said[:300], flush=True)
    raise AssertionError("the last try returns or ends")


def _try(target: Target, workload: Workload, core: int) -> Load:
    command = [sys.executable, "-m", "bench.gateway.load", target.url, workload.name, target.authorization]
    result = subprocess.run(["taskset", "-c", str(core), *command], capture_output=True, text=True, check=False)
    if result.returncode:
        raise SystemExit(f"The load failed on {target.name}:\n{result.stderr}")
    return Load(**json.loads(result.stdout))
