"""Freehold's gateway as it runs in a cluster, in front of two engines of this machine.

`python -m bench.scale.engines.house PORT POLICY FOLDER ENGINE_PORT HOST…`: attendants that say what is true here, that
the engines are ready, are part of it.
"""

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from aiohttp import web

from bench.gateway.house import StaticEngine
from bench.gateway.processes import free_port
from bench.scale.engines.sessions import MODEL
from freehold.core.settings import Settings
from freehold.serve.cluster.engines_file import EnginesFile
from freehold.serve.cluster.fronting import fronting
from freehold.serve.config import parse_config
from freehold.serve.engines.replica import describe_replica
from freehold.serve.gateway import new_event_loop

SERVICE = "engines.bench"


async def serve(port: int, policy: str, folder: Path, engine_port: int, hosts: list[str]) -> None:
    """Until it is ended."""
    gateway = {"port": port, "spreading": policy}
    config = parse_config({"models": {MODEL: {"artifact": MODEL}}, "gateway": gateway}, "The benchmark's config")
    attendant_port = free_port()
    place = {"service": SERVICE, "port": engine_port, "attendantPort": attendant_port}
    file = EnginesFile.model_validate({"engines": {MODEL: place}})

    async def resolve(_: str) -> list[str]:
        return hosts

    async with AsyncExitStack() as stack:
        for host in hosts:
            await _attend(stack, host, attendant_port)
        await stack.enter_async_context(fronting(config, file, Settings(home=folder), resolve))
        await asyncio.Event().wait()


async def _attend(stack: AsyncExitStack, host: str, port: int) -> None:
    status = describe_replica(StaticEngine(f"http://{host}", MODEL, MODEL), ())

    async def tell(_: web.Request) -> web.Response:
        return web.Response(body=status, content_type="application/json")

    app = web.Application()
    app.router.add_get("/status", tell)
    runner = web.AppRunner(app)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, host, port).start()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]), sys.argv[5:]))
