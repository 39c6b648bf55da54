"""Asks one request in a key's name, by the relay that clients' requests take."""

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from starlette.types import Message, Scope

from freehold.serve.gateway.delegation import DELEGATION, Delegation
from freehold.serve.gateway.endpoints import Endpoint
from freehold.serve.gateway.http.cycle import CYCLE

if TYPE_CHECKING:
    from freehold.serve.gateway.relay import Relay

HEADERS = [(b"content-type", b"application/json"), (b"user-agent", b"freehold-batch")]


class Asking:
    """One request, as the relay's `Exchange` knows its client: the `Cycle` of a request that came over no socket."""

    def __init__(self, body: bytes, delegation: Delegation) -> None:
        self.delegation = delegation
        self.task: asyncio.Task[None] | None = None
        self.status = 0
        """0 while there is no answer."""
        self.headers: dict[str, str] = {}
        self.is_whole = False
        """The answer has come to its end."""
        self.is_gone = False
        """Nobody wants it any more."""
        self.is_late = False
        """Because it took too long."""
        self._body = body
        self._pieces: list[bytes] = []
        self._on_gone: Callable[[], None] | None = None

    @property
    def answer(self) -> bytes:
        """Its body."""
        return b"".join(self._pieces)

    async def through(self, relay: "Relay", endpoint: Endpoint) -> None:
        """Ask it; returns when it is answered, refused, or left."""
        self.task = asyncio.current_task()
        scope: Scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": endpoint.path,
            "raw_path": endpoint.path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": HEADERS,
            "client": None,
            "server": None,
            "state": {},
            "extensions": {CYCLE: self},
            DELEGATION: self.delegation,
        }
        await relay(endpoint, scope, self.send)

    def leave(self) -> None:
        """Want it no longer: the engine is told to stop, as when a client goes."""
        self.is_gone = True
        on_gone, self._on_gone = self._on_gone, None
        if on_gone is not None:
            on_gone()

    def give_up(self) -> None:
        """It has had its time."""
        self.is_late = True
        self.leave()

    # What the relay calls.

    def when_gone(self, callback: Callable[[], None]) -> None:
        self._on_gone = callback
        if self.is_gone:
            callback()

    def take_whole(self, limit: int) -> bytes | None:
        return self._body if len(self._body) <= limit else None

    async def receive(self) -> Message:
        return {"type": "http.request", "body": self._body, "more_body": False}

    def start(self, status: int, headers: Iterable[tuple[bytes, bytes]], lines: bytes = b"") -> None:
        self.status = status
        own = (line.partition(b":")[::2] for line in lines.split(b"\r\n") if line)
        for name, value in (*headers, *own):
            self.headers[name.decode("latin-1").lower()] = value.decode("latin-1").strip()

    def push(self, body: bytes, *, more: bool = True) -> bool:
        self._pieces.append(body)
        self.is_whole = not more
        return False

    async def room(self) -> None:
        return

    async def send(self, message: Message) -> None:
        """For the refusals that go the way of ASGI."""
        if message["type"] == "http.response.start":
            self.start(message["status"], message["headers"])
        else:
            self.push(message["body"], more=message.get("more_body", False))
