"""Prints a Ray cluster as one line of JSON: `python status.py ADDRESS`, with the engine environment's Python."""

import json
import sys
from typing import Any

import ray
from ray import serve

PREFIX = "freehold-"


def main() -> int:
    try:
        ray.init(address=sys.argv[1], namespace="freehold", logging_level="ERROR", log_to_driver=False)
    except (OSError, RuntimeError, ValueError) as error:
        print(str(error).splitlines()[0] if str(error) else type(error).__name__, file=sys.stderr)
        return 1
    # The public way sums over all nodes.
    free = ray._private.state.available_resources_per_node()
    nodes = [_node(node, free.get(node["NodeID"], {})) for node in ray.nodes()]
    print(json.dumps({"address": ray.get_runtime_context().gcs_address, "nodes": nodes, "models": _models()}))
    return 0


def _node(node: dict[str, Any], free: dict[str, float]) -> dict[str, Any]:
    total = node["Resources"]
    return {
        "node": node["NodeID"][:12],
        "host": node["NodeManagerAddress"],
        "role": "head" if "node:__internal_head__" in total else "worker",
        "state": "alive" if node["Alive"] else "dead",
        "resources": {name: amount for name, amount in sorted(total.items()) if not name.startswith("node:")},
        "free": {name: amount for name, amount in sorted(free.items()) if not name.startswith("node:")},
    }


def _models() -> list[dict[str, Any]]:
    """Of Freehold's applications; asking does not start Serve."""
    found = []
    for name, application in sorted(serve.status().applications.items()):
        if name.startswith(PREFIX):
            states = [one.replica_states for one in application.deployments.values()]
            replicas = {str(state): count for each in states for state, count in each.items()}
            found.append({"model": name[len(PREFIX) :], "state": str(application.status.value), "replicas": replicas})
    return found


if __name__ == "__main__":
    sys.exit(main())
