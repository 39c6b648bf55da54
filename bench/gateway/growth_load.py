"""All kinds of requests, mixed: `python -m bench.gateway.growth_load URL FIRST COUNT` prints what came of them."""

import asyncio
import contextlib
import json
import sys
from collections import Counter
from urllib.parse import urlsplit

import uvloop

from bench.gateway.growth_house import KEYS, RECORDED, SPLIT, secret
from bench.gateway.workloads import MODEL, Workload

CLIENTS = 32

PLAIN, STREAM, SPLIT_PLAIN, KEPT, LEAVING, UNKNOWN_KEY, UNKNOWN_MODEL, NO_JSON = range(8)
MIX = (PLAIN,) * 9 + (STREAM,) * 4 + (SPLIT_PLAIN,) * 2 + (KEPT, LEAVING, UNKNOWN_KEY, UNKNOWN_MODEL, NO_JSON)
"""Of twenty requests."""
EXPECTED = {PLAIN: 200, STREAM: 200, SPLIT_PLAIN: 200, KEPT: 200, LEAVING: 200}
EXPECTED |= {UNKNOWN_KEY: 401, UNKNOWN_MODEL: 404, NO_JSON: 400}

_MODELS = {SPLIT_PLAIN: SPLIT, KEPT: RECORDED, UNKNOWN_MODEL: "nobody"}
_BODIES = {
    kind: json.dumps(
        {
            **json.loads(Workload("", 1, chunks=8 if kind in (STREAM, LEAVING) else 0, pace_ms=kind == LEAVING).body()),
            "model": _MODELS.get(kind, MODEL),
        }
    ).encode()
    for kind in set(MIX)
}
_BODIES[NO_JSON] = b'{"model": '


class Client:
    """One after the other, on a connection that is kept as long as the gateway keeps it."""

    def __init__(self, host: str, port: int, statuses: Counter[int]) -> None:
        self._host, self._port, self._statuses = host, port, statuses
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, number: int) -> None:
        """The request of this number, with a key of its own."""
        kind = MIX[number % len(MIX)]
        key = secret(KEYS + number if kind == UNKNOWN_KEY else number // len(MIX) % KEYS)
        if self._reader is None or self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        body = _BODIES[kind]
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: it\r\nauthorization: Bearer {key}\r\n"
        self._writer.write(
            f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
        )
        answer = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        status = int(answer.split(b" ", 2)[1])
        if status != EXPECTED[kind]:
            raise SystemExit(f"Request {number} of kind {kind}: {answer.decode('latin-1')}")
        self._statuses[0 if kind == LEAVING else status] += 1
        if kind == LEAVING:
            self.leave()
            return
        if b"transfer-encoding: chunked" in answer:
            await self._reader.readuntil(b"\r\n0\r\n\r\n")
        else:
            await self._reader.readexactly(int(answer.partition(b"content-length:")[2].split(b"\r\n")[0]))
        if b"connection: close" in answer:
            self.leave()

    def leave(self) -> None:
        """Go, in whatever the gateway is doing."""
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None


async def run(url: str, first: int, count: int) -> Counter[int]:
    """How many came to which status; 0 are those whose client left in the middle."""
    parts, statuses = urlsplit(url), Counter[int]()
    numbers = iter(range(first, first + count))

    async def work() -> None:
        client = Client(parts.hostname or "", parts.port or 0, statuses)
        for number in numbers:
            await client.ask(number)
        client.leave()

    await asyncio.gather(*(work() for _ in range(CLIENTS)))
    return statuses


if __name__ == "__main__":
    with contextlib.closing(uvloop.new_event_loop()) as event_loop:
        print(json.dumps(event_loop.run_until_complete(run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))))
