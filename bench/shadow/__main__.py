"""Show that nobody notices a shadow: `python -m bench.shadow [--rounds 7] [--markdown docs/benchmarks/shadow.md]`.

Prints a table of medians and spreads, and exits with 1 if a shadow moves the clients' p99 by 2 ms or more.
"""

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path

from bench.gateway.report import machine, percentile
from bench.shadow.run import Results, measure_all
from bench.shadow.scenarios import ANSWER_S, MAX_CONCURRENT, NONE, SCENARIOS, TIMEOUT_S

LIMIT_MS = 2.0


def main() -> None:
    arguments, load_average = _arguments(), os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="freehold-bench-") as scratch:
        results = measure_all(arguments.rounds, Path(scratch))
    body = table(results)
    moved = {scenario: statistics.median(_moved(results, scenario, 99)) for scenario in SCENARIOS if scenario != NONE}
    worst = max(moved, key=lambda scenario: moved[scenario])
    is_kept = moved[worst] < LIMIT_MS
    verdict = (
        f"The p99 moves by {'less' if is_kept else 'NOT less'} than {LIMIT_MS:.0f} ms: "
        f"at most {moved[worst]:.2f} ms, with the shadow '{worst}'."
    )
    print(f"{body}\n{verdict}")
    if arguments.markdown:
        arguments.markdown.parent.mkdir(parents=True, exist_ok=True)
        command = f"python -m bench.shadow --rounds {arguments.rounds} --markdown {arguments.markdown}"
        arguments.markdown.write_text(page(body, verdict, arguments.rounds, load_average, command))
    sys.exit(not is_kept)


def table(results: Results) -> str:
    """Median, and smallest to largest of all rounds."""
    head = "| shadow | p50 ms | p99 ms | p50 moves by ms | p99 moves by ms | what came of the copies |"
    lines = [head, "|" + "---|" * 6]
    for scenario in SCENARIOS:
        times = [[percentile(row[scenario].latencies_ms, percent) for row in results.rounds] for percent in (50, 99)]
        moves = [[] if scenario == NONE else _moved(results, scenario, percent) for percent in (50, 99)]
        ends = ", ".join(f"{count:,} {end}" for end, count in sorted(results.copies[scenario].items()))
        lines.append(f"| {scenario} | {' | '.join(map(_cell, [*times, *moves]))} | {ends or '–'} |")
    return "\n".join(lines)


def _moved(results: Results, scenario: str, percent: int) -> list[float]:
    """By how much more than without a shadow, in the same round."""
    return [
        percentile(row[scenario].latencies_ms, percent) - percentile(row[NONE].latencies_ms, percent)
        for row in results.rounds
    ]


def _cell(measured: list[float]) -> str:
    if not measured:
        return "–"
    return f"**{statistics.median(measured):.2f}** ({min(measured):.2f}–{max(measured):.2f})"


def page(body: str, verdict: str, rounds: int, load_average: float, command: str) -> str:
    """The page under `docs/benchmarks`."""
    return f"""# What clients notice of a shadow

Written by `{command}`. Medians of {rounds} rounds, smallest and largest in brackets. Every round asks through every
shadow, in random order.

{body}

{verdict}

- One gateway, with keys, limits and ledger on, has a core to itself; engine, shadows and load share another. Five
  routes lead to the same engine, which answers after {ANSWER_S * 1000:.0f} ms; eight clients ask one route for three
  seconds.
- Every request is copied while no more than {MAX_CONCURRENT} copies are under way (the default is 4); a copy is given
  up after {TIMEOUT_S:.0f} s. A hanging shadow always has its fill: what is beyond is dropped, the rest times out.
- The healthy shadow is the engine itself, which so has twice the work. A crashing one resets each connection, a
  refusing one has nobody listening. The gateway is told that all are ready; one that has seen otherwise sends no copy.
- Load average before the run: {load_average:.1f}.

{machine()}.
"""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.shadow",
        description="Measure what a shadow costs the clients: healthy, hanging, crashing, refusing.",
        epilog="Examples:\n  python -m bench.shadow\n  python -m bench.shadow --rounds 3",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=7, help="repetitions of everything (default: %(default)s)")
    parser.add_argument("--markdown", type=Path, help="write the page here as well")
    return parser.parse_args()


if __name__ == "__main__":
    main()
