"""A gateway worker: one of several processes that share a port. Run by `freehold serve` alone.

The first line of standard input is its order, each further line is the state of all engines, and the end of it is the
end of the parent. What it has to say to the parent goes to standard output, a JSON object per line.
"""

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from dataclasses import replace

from freehold.core.errors import FreeholdError
from freehold.serve.engines.mirrored import MirroredFleet
from freehold.serve.engines.upstream import build_upstreams
from freehold.serve.gateway import Gateway, GatewayServer, create_gateway, new_event_loop
from freehold.serve.gateway.routing import RouteTable
from freehold.serve.governing import governance
from freehold.serve.logs import configure_logging
from freehold.serve.workers.control import control_socket
from freehold.serve.workers.folder import ControlFolder
from freehold.serve.workers.order import WorkerOrder, read_order
from freehold.serve.workers.siblings import Siblings

LONGEST_LINE_BYTES = 64 * 1024 * 1024
ORPHANED_GRACE_S = 5.0
"""The engines are going too: nobody's answer will be longer."""
ORPHANED_LIMIT_S = 15
"""For everything, settling accounts included; then the kernel ends this process."""


def main() -> int:
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(_work())


async def _work() -> int:
    report = _Reports()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    lines = await _standard_input()
    order = read_order(await lines.readline())
    fleet = MirroredFleet()
    fleet.show(await lines.readline())
    report(shown=True)
    parent = _Parent(lines, fleet, stopping, report)
    try:
        await _serve(order, fleet, parent, stopping, report)
    except FreeholdError as error:
        report(failed=str(error))
        return error.exit_code
    finally:
        parent.forget()
    return 0


class _Reports:
    """Lines for the parent. Whatever else is printed goes to standard error."""

    def __init__(self) -> None:
        self._pipe = os.dup(1)
        os.dup2(2, 1)

    def __call__(self, **what: object) -> None:
        with suppress(BrokenPipeError):  # the parent is gone, which is noticed elsewhere
            os.write(self._pipe, json.dumps(what).encode() + b"\n")


async def _standard_input() -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=LONGEST_LINE_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


class _Parent:
    """Listens to the parent, and notices its end."""

    def __init__(
        self, lines: asyncio.StreamReader, fleet: MirroredFleet, stopping: asyncio.Event, report: "_Reports"
    ) -> None:
        self.gone = asyncio.Event()
        self._lines = lines
        self._fleet = fleet
        self._stopping = stopping
        self._report = report
        self._task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        while (line := await self._lines.readline()).endswith(b"\n"):
            self._fleet.show(line)
            self._report(shown=True)
        self.gone.set()
        signal.alarm(ORPHANED_LIMIT_S)
        self._stopping.set()

    def forget(self) -> None:
        self._task.cancel()


async def _serve(
    order: WorkerOrder, fleet: MirroredFleet, parent: _Parent, stopping: asyncio.Event, report: _Reports
) -> None:
    """Serve until the signal, or the parent's end."""
    config = order.config
    configure_logging(config.gateway.log_format, access_log=config.gateway.access_log)
    folder = ControlFolder(order.folder)
    siblings = Siblings(folder, order.number, config.gateway.workers)
    table = RouteTable(fleet.engines, config.routes, build_upstreams(config))
    async with governance(config, order.settings, engines=fleet.engines) as services:
        gateway = create_gateway(fleet.engines, config.gateway, table, replace(services, siblings=siblings))
        server = GatewayServer(gateway, config.gateway, reuse_port=True)
        async with control_socket(gateway, siblings, folder.address(order.number)):
            await server.start()
            hurrying = asyncio.create_task(_hurry(parent, gateway))
            report(listening=True)
            try:
                await stopping.wait()
            finally:
                await server.stop()
                hurrying.cancel()


async def _hurry(parent: _Parent, gateway: Gateway) -> None:
    """Cut a drain short whose parent goes before its end."""
    await parent.gone.wait()
    await gateway.drain(ORPHANED_GRACE_S)


if __name__ == "__main__":
    sys.exit(main())
