"""Compare two pulls of the same artifact: `python -m bench.pull [--rounds 9] [--markdown docs/benchmarks/pull.md]`.

Each round runs both, in an order that alternates, into fresh folders, and compares every byte afterwards. Rounds during
which other work took the processors are reported apart.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

from bench.pull.contenders import CONTENDERS, Round, is_identical, measure, wait_for_quiet
from bench.pull.report import markdown, summary
from bench.pull.scene import REPO, Mirror, make_store, running_mirror


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="freehold-bench-") as name:
        scratch = Path(name)
        print(f"Making {arguments.gib} GiB of random weights in {arguments.files} files …", flush=True)
        original = make_store(scratch / "served", arguments.gib, arguments.files)
        with running_mirror(scratch / "served") as mirror:
            # The first round fills the page cache and compiles the byte code.
            _round(0, mirror, scratch, original)
            rounds = []
            for number in range(1, arguments.rounds + 1):
                wait_for_quiet(arguments.patience)
                rounds.append(_round(number, mirror, scratch, original))
    print(summary(rounds, arguments.gib))
    if arguments.markdown:
        arguments.markdown.parent.mkdir(parents=True, exist_ok=True)
        arguments.markdown.write_text(markdown(rounds, arguments.gib, arguments.files))


def _round(number: int, mirror: Mirror, scratch: Path, original: Path) -> Round:
    runs = {}
    for contender in CONTENDERS if number % 2 else CONTENDERS[::-1]:
        target = scratch / "target"
        runs[contender.name] = measure(contender, mirror, REPO, target)
        if not is_identical(original, contender.result(target)):
            raise SystemExit(f"{contender.name} brought other bytes than were served")
        shutil.rmtree(target)
    shown = ", ".join(
        f"{contender.name} {run.wall_s:.2f} s (CPU {run.cpu_s:.2f} s, others {run.others:.1f} cores)"
        for contender in CONTENDERS
        for run in [runs[contender.name]]
    )
    print(f"{f'round {number}' if number else 'warm-up'}: {shown}", flush=True)
    return Round(freehold=runs["freehold pull"], hf=runs["hf download"])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gib", type=int, default=1, help="size of the artifact")
    parser.add_argument("--files", type=int, default=4, help="number of safetensors files it comes in")
    parser.add_argument("--rounds", type=int, default=9, help="rounds after the warm-up")
    parser.add_argument("--patience", type=float, default=10, help="seconds to wait for a quiet machine, each round")
    parser.add_argument("--folder", type=Path, default=None, help="where to work; needs three times the size")
    parser.add_argument("--markdown", type=Path, default=None, help="write the report here")
    return parser.parse_args()


if __name__ == "__main__":
    main()
