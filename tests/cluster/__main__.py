"""Install the chart into the cluster of the current context, ask it, upgrade, roll back, uninstall.

    python -m tests.cluster                                    # the example: SmolLM2 on a CPU
    python -m tests.cluster -f values.yaml --timeout-s 7200    # your own
    python -m tests.cluster --helm 3.19.0 --context kind-test

It works in a namespace of its own, which it deletes; other namespaces are not touched.
"""

import argparse
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), *(str(Path(__file__).parents[2] / room) for room in ("core", "serve"))]

from fixtures.chart.binaries import RELEASES, binary  # noqa: E402
from fixtures.chart.rendering import CHART  # noqa: E402

from tests.cluster.journey import travel  # noqa: E402
from tests.cluster.reaching import Cluster, current_context, unreachable  # noqa: E402


def main() -> int:
    """0: everything worked; 1: a step failed; 3: there is no cluster."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-f", "--values", type=Path, action="append", default=[], help="values; may be repeated")
    parser.add_argument("--chart", type=Path, default=CHART, help="chart, or its .tgz")
    parser.add_argument("--helm", choices=[each.version for each in RELEASES], default=RELEASES[-1].version)
    parser.add_argument("--context", help="kubectl's context; the current one by default")
    parser.add_argument("--timeout-s", type=int, default=3600, help="how long pods may take to become ready")
    given = parser.parse_args()
    (release,) = (each for each in RELEASES if each.version == given.helm)
    kubectl = binary(release, "kubectl")
    if reason := unreachable(kubectl, given.context):
        print(reason, file=sys.stderr)
        return 3
    namespace = f"freehold-journey-{int(time.time())}"
    cluster = Cluster(kubectl, binary(release), given.context or current_context(kubectl), namespace)
    try:
        travel(cluster, given.chart, given.values, lambda text: print(text, file=sys.stderr), given.timeout_s)
    except RuntimeError as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    print(f"The chart lives in {cluster.context} with Helm {release.version}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
