"""What the shadow does in each scenario, and what is asked meanwhile."""

import json
from dataclasses import dataclass

from bench.gateway.workloads import Workload

NONE, HEALTHY, HANGING, CRASHING, REFUSING = "none", "healthy", "hanging", "crashing", "refusing"
SCENARIOS = (NONE, HEALTHY, HANGING, CRASHING, REFUSING)
"""Names of routes. All have the same engine; each has its own shadow."""
ANSWER_S = 0.05
"""What the engine takes."""
MAX_CONCURRENT = 64
TIMEOUT_S = 1.0
"""More copies at once than the default, so that none is spared; given up soon, so that hanging ones pile up and end."""


@dataclass(frozen=True)
class RouteWorkload(Workload):
    """Plain requests to a route."""

    def body(self) -> bytes:
        return json.dumps({**json.loads(super().body()), "model": self.name}).encode()


def workload(scenario: str) -> RouteWorkload:
    """Eight clients for three seconds: about 450 answers."""
    return RouteWorkload(scenario, clients=8, seconds=3.0)
