"""The policy on real engines: `python -m bench.scale.engines ARTIFACT [--markdown docs/benchmarks/scale.md]`.

Two vLLMs of this machine, Freehold's policies and vllm-router's in front of them, the same sessions for each.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import urllib.request
from contextlib import ExitStack
from pathlib import Path

from bench.gateway import processes
from bench.gateway.contenders import CONTENDERS, set_up
from bench.scale.engines.contenders import BASELINE, Contender, contenders
from bench.scale.engines.report import Measured, page, table
from bench.scale.engines.sessions import MODEL, ask_all
from freehold.core.environment.gpu import has_nvidia_gpu
from freehold.core.page import replaced
from freehold.core.settings import load_settings
from freehold.core.store import Artifact, Store
from freehold.serve.config import ProcessEngine
from freehold.serve.engines.vllm import launch

HOSTS = ("127.0.0.1", "127.0.0.2")
"""Replicas differ by address and share a port, as pods do."""
COUNTERS = ("vllm:prefix_cache_hits_total", "vllm:prefix_cache_queries_total")
START_LIMIT_S = 600.0


def main() -> None:
    arguments, load_average = _arguments(), os.getloadavg()[0]
    router = next(one for one in CONTENDERS if one.name == "vllm-router")
    if arguments.setup:
        set_up([router], arguments.cache)
    missing = router.missing(arguments.cache)
    if missing:
        print(f"Skipping vllm-router: {missing}", file=sys.stderr)
    chosen = contenders(None if missing else router.environment(arguments.cache) / "bin" / router.executable)
    artifact = Store(load_settings().store_root).get(arguments.artifact)
    with tempfile.TemporaryDirectory(prefix="freehold-bench-") as scratch, ExitStack() as stack:
        port = processes.free_port()
        urls = arguments.engines or [_start_engine(stack, artifact, host, port, Path(scratch)) for host in HOSTS]
        measured: list[dict[str, Measured]] = []
        for number in range(arguments.rounds):
            # Everyone has each position in turn.
            turn = number * len(chosen) // arguments.rounds
            rows = {one.name: _measure(one, number, urls, Path(scratch)) for one in chosen[turn:] + chosen[:turn]}
            measured.append(rows)
            lines = table(measured, [one.name for one in chosen], BASELINE)
            print("\n".join(lines), flush=True)
            if arguments.markdown:
                command = f"python -m bench.scale.engines {arguments.artifact} --rounds {arguments.rounds}"
                text = page(lines, f"{command} --markdown {arguments.markdown}", len(measured), load_average)
                arguments.markdown.write_text(replaced(arguments.markdown.read_text(), "engines", text))


def _start_engine(stack: ExitStack, artifact: Artifact, host: str, port: int, scratch: Path) -> str:
    config = ProcessEngine(max_model_len=2048, cpu_kv_cache_gib=1)
    started = launch(
        artifact,
        config,
        name=MODEL,
        python=Path(sys.executable),
        port=port,
        fingerprint="measured",
        has_gpu=has_nvidia_gpu(),
    )
    command = list(started.command)
    command[command.index("--host") + 1] = host
    url = f"http://{host}:{port}"
    core = sorted(os.sched_getaffinity(0))[HOSTS.index(host) % len(os.sched_getaffinity(0))]
    log = scratch / f"{host}.log"
    print(f"Starting the engine at {url}", file=sys.stderr, flush=True)
    stack.enter_context(processes.running(command, core, log, started.env, f"{url}/health", START_LIMIT_S))
    return url


def _measure(one: Contender, number: int, urls: list[str], scratch: Path) -> Measured:
    """One contender, started anew: it knows nothing of the run before."""
    port = processes.free_port()
    folder = scratch / f"{one.slug}-{number}"
    folder.mkdir()
    command = one.command(port, urls, folder)
    url = f"http://127.0.0.1:{port}"
    core = sorted(os.sched_getaffinity(0))[-1]
    with processes.running(command, core, folder / "log", {}, f"{url}{one.ready_path}", START_LIMIT_S):
        before = [_counters(each) for each in urls]
        answers = asyncio.run(ask_all(url, f"{one.slug}-{number}-{os.getpid()}", number))
        after = [_counters(each) for each in urls]
    hits, asked = (
        sum(later[name] - earlier[name] for later, earlier in zip(after, before, strict=True)) for name in COUNTERS
    )
    found = Measured(hits / asked, answers.first_token_s, answers.wall_s)
    print(f"Round {number + 1}, {one.name}: {found.hit_rate:.1%} of prompt tokens found", file=sys.stderr, flush=True)
    return found


def _counters(url: str) -> dict[str, float]:
    with urllib.request.urlopen(f"{url}/metrics", timeout=60) as page_:
        lines = page_.read().decode().splitlines()
    return {name: sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name)) for name in COUNTERS}


def _arguments() -> argparse.Namespace:
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "freehold-bench-gateway"
    parser = argparse.ArgumentParser(
        prog="python -m bench.scale.engines",
        description="Two engines behind the policies of Freehold and vllm-router: hits in caches, time to first token.",
        epilog="Example:\n  python -m bench.scale.engines smollm2-135m-instruct --setup --rounds 3",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("artifact", help="a chat model of the store")
    parser.add_argument("--setup", action="store_true", help="make vllm-router's environment first")
    parser.add_argument("--cache", type=Path, default=cache, help="where that is (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="repetitions of everything (default: %(default)s)")
    parser.add_argument("--engines", nargs=2, metavar="URL", help="take these, which differ in the host, as they run")
    parser.add_argument("--markdown", type=Path, help="write the table between the marks of this page")
    return parser.parse_args()


if __name__ == "__main__":
    main()
