"""One request being relayed: what has been sent to its client, and who may end it early."""

import asyncio
from typing import TYPE_CHECKING

from starlette.types import Scope

from freehold.core.errors import FreeholdError
from freehold.serve.gateway.delegation import DELEGATION, Delegation
from freehold.serve.gateway.endpoints import Endpoint
from freehold.serve.gateway.errors import error_answer, stream_event
from freehold.serve.gateway.headers import RawHeaders
from freehold.serve.gateway.http.cycle import CYCLE, Cycle
from freehold.serve.gateway.metrics import CLIENT_LEFT
from freehold.serve.gateway.principal import ANONYMOUS
from freehold.serve.gateway.tape import Tape

if TYPE_CHECKING:
    from freehold.serve.gateway.tracing import ExchangeSpan


class Exchange:
    """The client's side of one relayed request.

    `watch` must be called once the request's body is read: from then on the task that relays is cancelled when the
    client leaves or somebody calls `abort`, and `client_left` or `abort_error` says which it was.
    """

    __slots__ = (
        "_is_event_stream",
        "_last",
        "_over",
        "_rest",
        "_task",
        "abort_error",
        "client",
        "client_left",
        "delegation",
        "endpoint",
        "model",
        "principal",
        "record_id",
        "scope",
        "span",
        "started",
        "status",
        "tape",
    )

    def __init__(self, endpoint: Endpoint, scope: Scope, started: float) -> None:
        self.endpoint = endpoint
        self.scope = scope
        self.client: Cycle = scope["extensions"][CYCLE]
        self.started = started
        """`perf_counter` of the request's arrival."""
        self.status = 0
        """What the client saw, or would have seen; 0 while nothing was sent."""
        self.client_left = False
        self.abort_error: FreeholdError | None = None
        self.delegation: Delegation | None = scope.get(DELEGATION)
        """Set where the gateway itself sends it for a key."""
        self.principal = ANONYMOUS
        self.model = ""
        """Of the engine that is to answer, as metrics name it; empty before that is known."""
        self.span: ExchangeSpan | None = None
        self.record_id = ""
        """Of its record, where a shadow's record refers to it."""
        self.tape: Tape | None = None
        """The answer's bytes as they came, where they are to be recorded."""
        self._is_event_stream = False
        self._last = b"\n\n"
        """What the body ended with so far."""
        self._over = False
        self._rest: bytes | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def is_cut_off(self) -> bool:
        """It ended before the answer did: nobody waits for the rest."""
        return self.client_left or self.abort_error is not None

    def watch(self) -> None:
        """Cancel the calling task when the client leaves."""
        self._task = self.client.task
        self.client.when_gone(self._leave)

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
        if self.client_left:
            self.status = CLIENT_LEFT

    def begin(self, status: int, headers: RawHeaders, lines: bytes, *, is_event_stream: bool = False) -> None:
        """Send the status and the headers, then `lines`, which are headers in their final form."""
        self.status = status
        self._is_event_stream = is_event_stream
        self.client.start(status, headers, lines)

    def write(self, chunk: bytes) -> bool:
        """Send a piece of the body; returns whether to wait for `client.room` before the next one."""
        self._last = chunk
        return self.client.push(chunk)

    def end(self, body: bytes = b"") -> None:
        """Send the rest of the body; nothing can go wrong for the client after it."""
        self._over = True
        self.client.push(body, more=False)

    def end_with(self, body: bytes) -> None:
        """Have the rest of the body ready for `release`; nothing can go wrong for the client after it."""
        self._over = True
        self._rest = body

    def release(self) -> None:
        """Send what `end_with` was given, once."""
        if self._rest is not None:
            body, self._rest = self._rest, None
            self.client.push(body, more=False)

    def fail(self, error: FreeholdError) -> None:
        """Tell the client: by an envelope, by an error event, or by a connection that breaks off.

        After the status has left, the body stays without its end, so the server closes the connection and no client
        can take the answer for a whole one.
        """
        self._over = True
        if not self.status:
            headers, body = error_answer(error, self.endpoint.dialect)
            self.begin(error.http_status, headers, b"")
            self.end(body)
        elif self._is_event_stream:
            event = stream_event(error, self.endpoint.dialect)
            ends_event = self._last.endswith((b"\n\n", b"\r\n\r\n"))
            self.client.push(event if ends_event else b"\n\n" + event)
