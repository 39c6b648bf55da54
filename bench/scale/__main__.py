"""Choose a routing policy by numbers: `python -m bench.scale [--only routing load] [--markdown FILE]`.

A simulation: no engine runs. The same command prints the same numbers on every machine.
"""

import argparse
import os
from pathlib import Path

from bench.scale.sections import SECTIONS, Effort
from freehold.core.page import replaced


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.scale",
        description=__doc__,
        epilog="Examples:\n  python -m bench.scale --only cpu --seeds 1\n"
        "  python -m bench.scale --markdown docs/benchmarks/scale.md",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", nargs="+", metavar="SECTION", choices=SECTIONS, help=f"of {', '.join(SECTIONS)}")
    parser.add_argument("--seeds", type=int, default=2, help="runs of each, with other users (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)), help="processes at once")
    parser.add_argument("--markdown", type=Path, help="write each table between its marks of this page")
    arguments = parser.parse_args()
    effort = Effort(arguments.seeds, arguments.workers)
    for name in arguments.only or SECTIONS:
        lines = list(SECTIONS[name](effort))
        print("\n".join([f"## {name}", "", *lines]), flush=True)
        if arguments.markdown:
            arguments.markdown.write_text(replaced(arguments.markdown.read_text(), name, lines))


if __name__ == "__main__":
    main()
