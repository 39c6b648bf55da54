"""When does contemplation pay? `python -m bench.contemplate [--markdown docs/benchmarks/contemplation.md]`.

Serves the small model with a route for each contender, asks every question of each, and prints the page. On two cores
it takes some minutes. `--limit 10` asks fewer questions, for a look.
"""

import argparse
import asyncio
import os
import time
from pathlib import Path

from bench.contemplate.asking import ask_all, deployment
from bench.contemplate.questions import questions
from bench.contemplate.report import page
from freehold.core.rehearsal import rehearse
from freehold.core.settings import load_settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, default=0, help="ask only so many questions")
    parser.add_argument("--markdown", type=Path, help="write the page here as well")
    arguments = parser.parse_args()
    items = questions()
    if arguments.limit:
        items = items[:: max(1, len(items) // arguments.limit)]
    with rehearse(deployment(), load_settings()) as served:
        began = time.monotonic()
        answers = asyncio.run(ask_all(served.url, items))
        minutes = (time.monotonic() - began) / 60
    text = page(items, answers, f"{os.cpu_count()} cores without GPU", minutes)
    print(text)
    if arguments.markdown:
        arguments.markdown.write_text(text)


if __name__ == "__main__":
    main()
