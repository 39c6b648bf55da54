"""The engine and two of its shadows: `python -m bench.shadow.engines PORT HANGING_PORT CRASHING_PORT`.

The engine is the benchmarks' mock, which takes its time here; it is also the healthy shadow.
"""

import asyncio
import contextlib
import socket
import struct
import sys
from typing import Any

import uvicorn
import uvloop

from bench.gateway import mock
from bench.shadow.scenarios import ANSWER_S

_AT_ONCE = struct.pack("ii", 1, 0)
"""SO_LINGER: closing resets the connection."""


async def app(scope: Any, receive: Any, send: Any) -> None:
    """The mock, after a while."""
    if scope["method"] == "POST":
        await asyncio.sleep(ANSWER_S)
    await mock.app(scope, receive, send)


async def _hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read, and never answer."""
    with contextlib.suppress(ConnectionError):
        while await reader.read(65536):
            pass
    writer.close()


async def _crash(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reset the connection as soon as there is a request."""
    with contextlib.suppress(ConnectionError):
        await reader.read(1)
    peer: socket.socket = writer.get_extra_info("socket")
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    writer.transport.abort()


async def serve(port: int, hanging: int, crashing: int) -> None:
    await asyncio.start_server(_hang, "127.0.0.1", hanging)
    await asyncio.start_server(_crash, "127.0.0.1", crashing)
    config = uvicorn.Config(app, port=port, http="httptools", lifespan="off", log_level="warning", access_log=False)
    await uvicorn.Server(config).serve()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(*map(int, sys.argv[1:])))
