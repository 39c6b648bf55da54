"""The load on one route, in a process of its own: `python -m bench.shadow.load URL SCENARIO` prints a line of JSON."""

import contextlib
import dataclasses
import json
import sys

import uvloop

from bench.gateway.load import run
from bench.gateway.workloads import KEY
from bench.shadow.scenarios import workload

if __name__ == "__main__":
    with contextlib.closing(uvloop.new_event_loop()) as event_loop:
        load = event_loop.run_until_complete(run(sys.argv[1], workload(sys.argv[2]), KEY))
    print(json.dumps(dataclasses.asdict(load)))
