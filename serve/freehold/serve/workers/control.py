"""Where a worker answers its siblings: a socket in a folder that only their user may enter."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from aiohttp import web

from freehold.serve.gateway.app import Gateway
from freehold.serve.workers.siblings import Siblings


@asynccontextmanager
async def control_socket(gateway: Gateway, siblings: Siblings, address: str) -> AsyncIterator[None]:
    """Inside the block, siblings that ask for `/metrics` and `/owner?id=…` get this worker's own answer."""

    async def metrics(request: web.Request) -> web.Response:
        return web.Response(body=siblings.tell(gateway.metrics.render))

    async def owner(request: web.Request) -> web.Response:
        known = gateway.owners.known(request.query["id"])
        if known is None:
            raise web.HTTPNotFound
        return web.Response(body=msgspec.json.encode(known))

    application = web.Application()
    application.add_routes([web.get("/metrics", metrics), web.get("/owner", owner)])
    runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    Path(address).unlink(missing_ok=True)  # of a worker that was killed
    try:
        await web.UnixSite(runner, address).start()
        yield
    finally:
        await runner.cleanup()
