"""Freehold's gateway with a route for each scenario, keys, limits and ledger on.

`python -m bench.shadow.house PORT FOLDER NAME=URL …`: the engine `mock`, and the shadows by their scenario.
"""

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from bench.gateway.house import KEYS, LIMITS, StaticEngine, make_key
from bench.gateway.workloads import MODEL
from bench.shadow.scenarios import MAX_CONCURRENT, NONE, SCENARIOS, TIMEOUT_S
from freehold.core.settings import Settings
from freehold.serve.config import DeploymentConfig, parse_config
from freehold.serve.gateway import new_event_loop, serve_gateway
from freehold.serve.gateway.routing import RouteTable
from freehold.serve.governing import governance


def _config(port: int, urls: dict[str, str]) -> DeploymentConfig:
    models = {name: {"engine": {"kind": "remote", "baseUrl": url, "leaves": False}} for name, url in urls.items()}
    routes: dict[str, dict[str, object]] = {scenario: {"targets": {MODEL: 1}} for scenario in SCENARIOS}
    for scenario in SCENARIOS:
        if scenario != NONE:
            budget = {"maxConcurrent": MAX_CONCURRENT, "timeoutS": TIMEOUT_S}
            routes[scenario]["shadow"] = {"target": _candidate(scenario), **budget}
    gateway = {"port": port, "auth": "keys"}
    return parse_config({"models": models, "routes": routes, "gateway": gateway}, "The benchmark's config")


def _candidate(scenario: str) -> str:
    return f"{scenario}-candidate"


async def serve(port: int, folder: Path, urls: dict[str, str]) -> None:
    urls = {name if name == MODEL else _candidate(name): url for name, url in urls.items()}
    config, settings = _config(port, urls), Settings(home=folder)
    # Always ready: a gateway that noticed how a candidate is would spare itself the copies.
    engines = {name: StaticEngine(url, name) for name, url in urls.items()}
    make_key(settings, frozenset({KEYS, LIMITS}))
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(governance(config, settings, {}))
        table = RouteTable(engines, config.routes)
        server = await stack.enter_async_context(serve_gateway(engines, config.gateway, table, services))
        await server.wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1]), Path(sys.argv[2]), dict(item.split("=", 1) for item in sys.argv[3:])))
