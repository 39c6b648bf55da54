"""Compare gateways: `python -m bench.gateway [--setup] [--rounds 7] [--markdown docs/benchmarks/gateway.md]`.

Prints a table of medians and spreads, and exits with 1 if Freehold costs more than it may.
"""

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path

from bench.gateway.contenders import CONTENDERS, FREEHOLD, LAYERS, set_up
from bench.gateway.report import CPU_PER_REQUEST, CPU_PER_UNPACED_CHUNK, DIRECT, page, table, values
from bench.gateway.run import measure_all

LIMITS_US = {CPU_PER_REQUEST: 150.0, CPU_PER_UNPACED_CHUNK: 4.0}
"""What Freehold may cost, with keys, limits and ledger on."""
ROUTER, ROUTER_US = "vllm-router", 40.0
"""What the peer took per request on the machine where the limits were set: how fast that was beside this one."""


def main() -> None:
    arguments, load_average = _arguments(), os.getloadavg()[0]
    chosen = [one for one in CONTENDERS if not arguments.only or one.name in arguments.only]
    if arguments.layers:
        chosen = list(LAYERS)
    if arguments.setup:
        set_up(chosen, arguments.cache)
    reasons = {one.name: one.missing(arguments.cache) for one in chosen}
    skipped = [f"{name}: {reason}" for name, reason in reasons.items() if reason]
    for line in skipped:
        print(f"Skipping {line}", flush=True)
    present = [one for one in chosen if not reasons[one.name]]
    with tempfile.TemporaryDirectory(prefix="freehold-bench-") as scratch:
        results = measure_all(present, arguments.rounds, arguments.cache, Path(scratch))
    body = table(results.rounds, [DIRECT, *(one.name for one in present)], results.rss_mb)
    print(body)
    costs = {figure: statistics.median(values(results.rounds, FREEHOLD, figure)) for figure in LIMITS_US}
    verdict = "Freehold's limits: " + "; ".join(
        f"{figure} {cost:.1f}, allowed {LIMITS_US[figure]:.0f}" for figure, cost in costs.items()
    )
    if any(one.name == ROUTER for one in present):
        router = statistics.median(values(results.rounds, ROUTER, CPU_PER_REQUEST))
        times = costs[CPU_PER_REQUEST] / router
        verdict += (
            f". {ROUTER} took {ROUTER_US:.0f} µs a request where these were set and takes {router:.0f} here: "
            f"Freehold costs {times:.2f} times as much, and {LIMITS_US[CPU_PER_REQUEST] / ROUTER_US:.2f} are allowed"
        )
    print(verdict)
    if arguments.markdown:
        arguments.markdown.parent.mkdir(parents=True, exist_ok=True)
        layers = ["--layers"] if arguments.layers else []
        named = ["python -m bench.gateway", *layers, f"--rounds {arguments.rounds}", f"--markdown {arguments.markdown}"]
        reasons_shown = [f"{line.partition(':')[0]} (not installed)" for line in skipped]
        text = page(body, f"{verdict}.", arguments.rounds, reasons_shown, load_average, " ".join(named))
        arguments.markdown.write_text(text)
    sys.exit(any(cost > LIMITS_US[figure] for figure, cost in costs.items()))


def _arguments() -> argparse.Namespace:
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "freehold-bench-gateway"
    parser = argparse.ArgumentParser(
        prog="python -m bench.gateway",
        description="Measure what gateways cost: Freehold, vllm-router, litellm[proxy], FastAPI + httpx.",
        epilog="Examples:\n  python -m bench.gateway --setup\n  python -m bench.gateway --only Freehold --rounds 3",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--setup", action="store_true", help="make the peers' environments first")
    parser.add_argument("--cache", type=Path, default=cache, help="where those environments are (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=7, help="repetitions of everything (default: %(default)s)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help=f"of {', '.join(one.name for one in CONTENDERS)}")
    parser.add_argument("--layers", action="store_true", help="Freehold alone, one layer of governance after the other")
    parser.add_argument("--markdown", type=Path, help="write the page here as well")
    arguments = parser.parse_args()
    unknown = set(arguments.only or ()) - {one.name for one in CONTENDERS}
    if unknown or (arguments.only and FREEHOLD not in arguments.only):
        parser.error(f"--only takes {', '.join(one.name for one in CONTENDERS)}, {FREEHOLD} among them")
    return arguments


if __name__ == "__main__":
    main()
