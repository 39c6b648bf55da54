"""The load: raw sockets, one request at a time on each, every answer read to its end and checked.

It runs as a process of its own: `python -m bench.gateway.load URL WORKLOAD [AUTHORIZATION]` prints one line of JSON.
"""

import asyncio
import contextlib
import dataclasses
import json
import sys
import time
from urllib.parse import urlsplit

import httptools
import uvloop

from bench.gateway.workloads import WORKLOADS, Workload

MARKER = b'" Paris'
"""Once in every content event."""


@dataclasses.dataclass
class Load:
    """What the clients saw."""

    requests: int
    wall_s: float
    latencies_ms: list[float]
    first_event_ms: list[float]
    errors: int
    first_error: str


class _Client(asyncio.Protocol):
    """One connection that asks again as soon as it has been answered, until the time is over."""

    def __init__(self, request: bytes, workload: Workload, load: Load, deadline: float) -> None:
        self.done = asyncio.get_running_loop().create_future()
        self._request, self._workload, self._load, self._deadline = request, workload, load, deadline
        self._parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        self._sent_s, self._first_s, self._events, self._length, self._head = time.perf_counter(), 0.0, 0, 0, b""
        self._carry = b""
        self._transport.write(self._request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self._fault(f"connection lost: {exc}")

    def on_body(self, body: bytes) -> None:
        if not self._length:
            self._first_s = time.perf_counter()
            self._head = body[:200]
        self._length += len(body)
        if self._workload.chunks:
            # A marker may be cut in two by the network.
            seen = self._carry + body
            self._events += seen.count(MARKER)
            self._carry = seen[1 - len(MARKER) :]

    def on_message_complete(self) -> None:
        now = time.perf_counter()
        status, chunks = self._parser.get_status_code(), self._workload.chunks
        if status != 200 or not self._length or self._events != chunks:
            self._fault(f"status {status}, {self._events} of {chunks} events: {self._head!r}")
            return
        self._load.requests += 1
        self._load.latencies_ms.append((now - self._sent_s) * 1000)
        self._load.first_event_ms.append((self._first_s - self._sent_s) * 1000)
        # A new parser for each answer: httptools keeps a `connection: close` of the last one.
        self._parser = httptools.HttpResponseParser(self)
        if now < self._deadline:
            asyncio.get_running_loop().call_soon(self._ask)
        else:
            self.done.set_result(None)
            self._transport.close()

    def _fault(self, what: str) -> None:
        self._load.errors += 1
        self._load.first_error = self._load.first_error or what
        if not self.done.done():
            self.done.set_result(None)
        self._transport.close()


async def run(url: str, workload: Workload, authorization: str) -> Load:
    """Put the load on it, and report."""
    parts, body = urlsplit(url), workload.body()
    lines = [
        "POST /v1/chat/completions HTTP/1.1",
        f"host: {parts.netloc}",
        "content-type: application/json",
        "accept: application/json",
        "user-agent: OpenAI/Python 2.0",
        *([f"authorization: Bearer {authorization}"] if authorization else []),
        f"content-length: {len(body)}",
    ]
    request = "\r\n".join([*lines, "", ""]).encode() + body
    load = Load(0, 0.0, [], [], 0, "")
    begun = time.perf_counter()
    deadline = begun + workload.seconds
    loop = asyncio.get_running_loop()
    clients = [
        (await loop.create_connection(lambda: _Client(request, workload, load, deadline), parts.hostname, parts.port))[
            1
        ]
        for _ in range(workload.clients)
    ]
    await asyncio.gather(*(client.done for client in clients))
    load.wall_s = time.perf_counter() - begun
    return load


if __name__ == "__main__":
    chosen = next(workload for workload in WORKLOADS if workload.name == sys.argv[2])
    with contextlib.closing(uvloop.new_event_loop()) as event_loop:
        print(json.dumps(dataclasses.asdict(event_loop.run_until_complete(run(sys.argv[1], chosen, sys.argv[3])))))
