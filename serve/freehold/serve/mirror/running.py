"""Running the mirror until SIGTERM or SIGINT."""

import asyncio
import signal
from collections.abc import Callable

from aiohttp import web

from freehold.core.errors import EnvironmentProblem

DRAIN_S = 30.0
"""How long transfers under way may go on after SIGTERM; clients resume what is cut."""


async def run_until_stopped(app: web.Application, host: str, port: int, on_ready: Callable[[str], None]) -> None:
    """Listen, tell `on_ready` the URL (port 0 picks one), serve until a signal, let transfers under way end.

    Raises EnvironmentProblem if the address cannot be had.
    """
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=DRAIN_S)
    await runner.setup()
    try:
        await _listen(runner, host, port)
        bound_host, bound_port = runner.addresses[0][:2]
        shown = f"[{bound_host}]" if ":" in bound_host else bound_host
        on_ready(f"http://{shown}:{bound_port}")
        await stopped.wait()
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, host: str, port: int) -> None:
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        raise EnvironmentProblem(
            f"Cannot listen on {host}:{port}",
            why=error.strerror or str(error),
            next_step="Choose another address with --host and --port.",
        ) from error
