"""One request being relayed: what has been sent to its client, and who may end it early."""

import asyncio
from typing import TYPE_CHECKING

from starlette.types import Receive, Scope, Send

from freehold.core.errors import FreeholdError
from freehold.serve.gateway.endpoints import Endpoint
from freehold.serve.gateway.errors import send_error, stream_event
from freehold.serve.gateway.headers import RawHeaders
from freehold.serve.gateway.http.cycle import WHEN_GONE
from freehold.serve.gateway.metrics import CLIENT_LEFT
from freehold.serve.gateway.principal import ANONYMOUS
from freehold.serve.gateway.tape import Tape

if TYPE_CHECKING:
    from freehold.serve.gateway.tracing import ExchangeSpan


class Exchange:
    """The client's side of one relayed request.

    `watch` must be called by the task that relays, once the request's body is read: from then on that task is cancelled
    when the client leaves or somebody calls `abort`, and `client_left` or `abort_error` says which it was.
    """

    __slots__ = (
        "_ends_event",
        "_is_event_stream",
        "_is_whole",
        "_over",
        "_task",
        "_watcher",
        "abort_error",
        "client_left",
        "endpoint",
        "model",
        "principal",
        "record_id",
        "scope",
        "send",
        "span",
        "started",
        "status",
        "tape",
    )

    def __init__(self, endpoint: Endpoint, scope: Scope, send: Send, started: float) -> None:
        self.endpoint = endpoint
        self.scope = scope
        self.send = send
        self.started = started
        """`perf_counter` of the request's arrival."""
        self.status = 0
        """What the client saw, or would have seen; 0 while nothing was sent."""
        self.client_left = False
        self.abort_error: FreeholdError | None = None
        self.principal = ANONYMOUS
        self.model = ""
        """Of the engine that is to answer, as metrics name it; empty before that is known."""
        self.span: ExchangeSpan | None = None
        self.record_id = ""
        """Of its record, where a shadow's record refers to it."""
        self.tape: Tape | None = None
        """The answer's bytes as they came, where they are to be recorded."""
        self._is_event_stream = False
        self._ends_event = True
        self._is_whole = False
        self._over = False
        self._task: asyncio.Task[None] | None = None
        self._watcher: asyncio.Task[None] | None = None

    @property
    def is_cut_off(self) -> bool:
        """It ended before the answer did: nobody waits for the rest."""
        return self.client_left or self.abort_error is not None

    def watch(self, receive: Receive) -> None:
        """Cancel the calling task when the client leaves.

        An ASGI server tells it to whoever receives, not on send; our own calls back.
        """
        self._task = asyncio.current_task()
        when_gone = self.scope.get("extensions", {}).get(WHEN_GONE)
        if when_gone is not None:
            when_gone(self._leave)
            return
        self._watcher = asyncio.get_running_loop().create_task(_client_leaves(receive))
        self._watcher.add_done_callback(self._on_client_left)

    def _on_client_left(self, watcher: asyncio.Task[None]) -> None:
        if not watcher.cancelled():
            self._leave()

    def _leave(self) -> None:
        if not self._over:
            self.client_left = True
            self._cancel()

    def abort(self, error: FreeholdError) -> None:
        """End the exchange with this error, whatever it is doing."""
        if not self._over:
            self.abort_error = error
            self._cancel()

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def close(self) -> None:
        """The exchange is over, well or badly."""
        self._over = True
        # After a whole answer the server ends `receive` by itself, and leaving that to it is cheaper.
        if self._watcher is not None and not self._is_whole:
            self._watcher.cancel()
        if self.client_left:
            self.status = CLIENT_LEFT

    async def begin(self, status: int, headers: RawHeaders, *, is_event_stream: bool = False) -> None:
        """Send the status and the headers."""
        self.status = status
        self._is_event_stream = is_event_stream
        await self.send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, chunk: bytes) -> None:
        """Send a piece of the body."""
        self._ends_event = chunk.endswith((b"\n\n", b"\r\n\r\n"))
        await self.send({"type": "http.response.body", "body": chunk, "more_body": True})

    async def end(self, body: bytes = b"") -> None:
        """Send the rest of the body; nothing can go wrong for the client after it."""
        self._over = True
        await self.send({"type": "http.response.body", "body": body})
        self._is_whole = True

    async def fail(self, error: FreeholdError) -> None:
        """Tell the client: by an envelope, by an error event, or by a connection that breaks off.

        After the status has left, the body stays without its end, so the server closes the connection and no client
        can take the answer for a whole one.
        """
        self._over = True
        if not self.status:
            self.status = error.http_status
            await send_error(self.send, error, self.endpoint.dialect)
        elif self._is_event_stream:
            event = stream_event(error, self.endpoint.dialect)
            await self.write(event if self._ends_event else b"\n\n" + event)


async def _client_leaves(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
