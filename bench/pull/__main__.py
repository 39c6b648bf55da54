"""Compare two pulls of the same artifact: `python -m bench.pull [--rounds 7] [--markdown docs/benchmarks/pull.md]`.

Each round runs both, in an order that alternates, into fresh folders, and compares every byte afterwards.
"""

import argparse
import os
import shutil
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.pull.contenders import CONTENDERS, Contender, Run, is_identical, measure
from bench.pull.report import machine, markdown, summary_line
from bench.pull.scene import REPO, make_store, running_mirror

TARGET = 0.8
"""Throughput of `freehold pull`, which also verifies, as a part of that of `hf download`."""


def main() -> None:
    arguments, load = _arguments(), os.getloadavg()[0]
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="freehold-bench-") as name:
        scratch = Path(name)
        print(f"Making {arguments.gib} GiB of random weights in {arguments.files} files …", flush=True)
        original = make_store(scratch / "served", arguments.gib, arguments.files)
        with running_mirror(scratch / "served") as url:
            rounds = [_round(number, url, scratch, original) for number in range(arguments.rounds + 1)]
    # The first round fills the page cache and compiles the byte code; it is not counted.
    counted = rounds[1:]
    size_mib = arguments.gib * 1024
    for contender in CONTENDERS:
        print(summary_line(contender.name, [run[contender.name] for run in counted], size_mib))
    ratios = [run["hf download"].wall_s / run["freehold pull"].wall_s for run in counted]
    median = statistics.median(ratios)
    print(f"freehold pull / hf download: {median:.2f} ({min(ratios):.2f} to {max(ratios):.2f}), target {TARGET}")
    if arguments.markdown:
        arguments.markdown.parent.mkdir(parents=True, exist_ok=True)
        arguments.markdown.write_text(
            markdown(counted, ratios, TARGET, arguments.gib, arguments.files, machine(), load)
        )


def _round(number: int, url: str, scratch: Path, original: Path) -> dict[str, Run]:
    runs = {}
    for contender in _order(number):
        target = scratch / "target"
        runs[contender.name] = measure(contender, url, REPO, target)
        if not is_identical(original, contender.result(target)):
            raise SystemExit(f"{contender.name} brought other bytes than were served")
        shutil.rmtree(target)
    shown = ", ".join(f"{name} {run.wall_s:.2f} s (CPU {run.cpu_s:.2f} s)" for name, run in sorted(runs.items()))
    print(f"{'warm-up' if number == 0 else f'round {number}'}: {shown}", flush=True)
    return runs


def _order(number: int) -> Sequence[Contender]:
    return CONTENDERS if number % 2 else CONTENDERS[::-1]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gib", type=int, default=1, help="size of the artifact")
    parser.add_argument("--files", type=int, default=4, help="number of safetensors files it comes in")
    parser.add_argument("--rounds", type=int, default=7, help="rounds that count")
    parser.add_argument("--folder", type=Path, default=None, help="where to work; needs three times the size")
    parser.add_argument("--markdown", type=Path, default=None, help="write the report here")
    return parser.parse_args()


if __name__ == "__main__":
    main()
