"""One client's connection: its requests are answered one after the other, or refused, or given up when time is over."""

import asyncio
import logging
import math
import socket
import struct
from collections import deque
from typing import cast

from starlette.types import ASGIApp, Scope

from freehold.core.errors import FreeholdError, UserError
from freehold.serve.gateway.http.cycle import Cycle
from freehold.serve.gateway.http.flow import Flow
from freehold.serve.gateway.http.limits import MAX_PIPELINED, MAX_PIPELINED_AT_ONCE, MIN_BODY_RATE, HttpLimits
from freehold.serve.gateway.http.reader import RequestReader
from freehold.serve.gateway.http.refusals import MalformedRequest, RequestTimeout, TooManyConnections, render_refusal
from freehold.serve.gateway.http.scope import SocketName

log = logging.getLogger("freehold.gateway")

NEVER = math.inf
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class ServerState:
    """What the connections of a server have in common."""

    def __init__(self, app: ASGIApp, limits: HttpLimits) -> None:
        self.app = app
        self.limits = limits
        self.loop = asyncio.get_running_loop()
        self.connections: set[Connection] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        """One of each connection: the loop itself holds tasks weakly."""
        self.is_closing = False
        """No connection is kept for another request."""
        self.all_gone = asyncio.Event()
        """Set whenever the last connection goes."""


class Connection(asyncio.Protocol):
    """`deadline`, in the loop's time, is when the server calls `expire`."""

    def __init__(self, state: ServerState) -> None:
        self.deadline = NEVER
        self._state = state
        self._limits = state.limits
        self._now = state.loop.time
        self._client: SocketName | None = None
        self._current: Cycle | None = None
        """It is being answered."""
        self._queue: deque[Cycle] = deque()
        """They came before the answer to the current one."""
        self._refusal: FreeholdError | None = None
        """To be sent after the answers to what came before it."""
        self._is_deaf = False
        """Whatever arrives is dropped."""
        self._task: asyncio.Task[None] | None = None
        self._to_answer: deque[Cycle] = deque()
        self._pause: asyncio.Future[None] | None = None
        """Done when there is something to answer, or never will be."""
        self._is_over = False
        self._timed_head = 0
        self._body_since = 0.0
        """When the clock of the incoming body started; 0 before."""
        self._body_bytes = 0

    @property
    def is_idle(self) -> bool:
        """The application has no request of this connection."""
        return self._task is None or self._task.done() or (self._pause is not None and not self._pause.done())

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self._client = _socket_name(transport.get_extra_info("peername"))
        server = _socket_name(transport.get_extra_info("sockname"))
        self._flow = Flow(self.transport, self._state.loop, self._restart_body_clock)
        self._reader = RequestReader(self._client, server, self._on_request)
        if len(self._state.connections) >= self._limits.max_connections:
            self._is_deaf = True
            self._flow.write(render_refusal(TooManyConnections("The gateway has too many connections")))
            self.transport.close()
            return
        self._state.connections.add(self)
        self.deadline = self._now() + self._limits.header_timeout_s

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            return
        try:
            self._reader.feed(data)
        except UserError as error:
            self._refuse(error)
        current, incoming = self._current, self._reader.incoming
        if current is not None and current.task is None:
            self._run(current)
        if self._is_deaf or (incoming is None and not self._reader.is_in_head):
            if current is not None:
                self.deadline = NEVER
        elif incoming is not None:
            self._time_body(incoming, len(data))
        elif self._timed_head != self._reader.heads:
            self._timed_head = self._reader.heads
            self.deadline = self._now() + self._limits.header_timeout_s

    def eof_received(self) -> None:
        # The only sign of a client that leaves. The transport now closes, but may have much to send before it says so.
        self._leave()

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        self._is_deaf = True
        self._flow.drain()
        self._reader.close()
        self._state.connections.discard(self)
        self._is_over = True
        if self._pause is not None and not self._pause.done():
            self._pause.set_result(None)
        if not self._state.connections:
            self._state.all_gone.set()

    def pause_writing(self) -> None:
        self._flow.fill()

    def resume_writing(self) -> None:
        self._flow.drain()

    # What the server calls.

    def expire(self) -> None:
        """The deadline has passed."""
        if self._is_deaf:
            self._stop_lingering()
        elif not self._flow.is_reading:
            self.deadline = self._now() + self._limits.header_timeout_s  # it is not the client who is late
        elif self._reader.incoming is not None:
            self._refuse(RequestTimeout("The request's body did not arrive in time"))
        elif self._reader.is_in_head:
            self._refuse(RequestTimeout("The request's headers did not arrive in time"))
        else:
            self.deadline = NEVER
            self.transport.close()

    def retire(self) -> None:
        """Close after the answers that are under way."""
        if self._current is not None:
            self._current.keeps_alive = False

    def hang_up(self) -> None:
        """Close after the answers that are under way, now if there are none."""
        self.retire()
        if self._current is None:
            self.transport.close()

    # Requests.

    def _on_request(self, scope: Scope, is_last: bool) -> Cycle:
        if len(self._queue) >= MAX_PIPELINED_AT_ONCE:
            raise MalformedRequest("too many requests were sent ahead of their answers")
        cycle = Cycle(scope, self._flow, not (is_last or self._state.is_closing), self._on_answered)
        self._body_since = 0.0
        if self._current is None:
            self._current = cycle
        else:
            self._queue.append(cycle)
            if len(self._queue) >= MAX_PIPELINED:
                self._flow.pause_reading()
        return cycle

    def _time_body(self, cycle: Cycle, size: int) -> None:
        """The next byte has its time, and so has the body as a whole."""
        if not self._body_since:
            cycle.awaits_invitation = cycle.expects_invitation()
            self._restart_body_clock()
        else:
            cycle.awaits_invitation = False
            self._body_bytes += size
            slowest = self._body_since + self._body_bytes / MIN_BODY_RATE
            self.deadline = min(self._now(), slowest) + self._limits.body_timeout_s
        if cycle.awaits_invitation:
            self.deadline = NEVER

    def _restart_body_clock(self) -> None:
        """From now on it is the client who is waited for."""
        if self._reader.incoming is not None:
            self._body_since, self._body_bytes = self._now(), 0
            self.deadline = self._body_since + self._limits.body_timeout_s

    # Answers.

    def _run(self, cycle: Cycle) -> None:
        self._to_answer.append(cycle)
        if self._task is None:
            self._task = self._state.loop.create_task(self._converse())
            self._state.tasks.add(self._task)
        elif self._pause is not None and not self._pause.done():
            self._pause.set_result(None)
        cycle.task = self._task

    async def _converse(self) -> None:
        """Let the application answer, as long as the connection is there: a task for each request would cost more."""
        try:
            while not (self._is_over and not self._to_answer):
                if self._to_answer:
                    await self._answer(self._to_answer.popleft())
                    if self._to_answer:  # the next one was sent ahead: others have their turn before it
                        await asyncio.sleep(0)
                else:
                    self._pause = self._state.loop.create_future()
                    await self._pause
        finally:
            assert self._task is not None, "it is this one"
            self._state.tasks.discard(self._task)

    async def _answer(self, cycle: Cycle) -> None:
        """See that an answer without an end does not look like a whole one."""
        try:
            await self._state.app(cycle.scope, cycle.receive, cycle.send)
        except Exception:  # the boundary: a fault in one request is not one of the server
            log.exception("%s %s failed", cycle.scope["method"], cycle.scope["path"])
        finally:
            if not (cycle.is_answered or cycle.is_gone or self.transport.is_closing()):
                self._break_off(cycle)
            cycle.release()

    def _break_off(self, cycle: Cycle) -> None:
        """The application has ended, its answer has not."""
        if cycle.is_endless:
            # The end of the connection would be the end of the answer; a reset is none.
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self.transport.abort()
        else:
            self._refuse_current(FreeholdError("The gateway failed", why="its log says more"))

    def _on_answered(self, cycle: Cycle) -> None:
        self._current = None
        if self.transport.is_closing():
            return
        if not cycle.keeps_alive:
            self._linger()
        elif self._queue:
            self._current = self._queue.popleft()
            self._run(self._current)
        elif self._refusal is not None:
            self._write_refusal(self._refusal)
        elif not self._reader.is_in_head:
            self.deadline = self._now() + self._limits.keepalive_s
        if len(self._queue) < MAX_PIPELINED:
            self._flow.resume_reading()

    def _leave(self) -> None:
        self._queue.clear()
        if self._current is not None:
            self._current.client_left()

    # Refusals.

    def _refuse(self, error: FreeholdError) -> None:
        """Read no further, and say so: at once, or after the answers that are under way."""
        self._is_deaf, self.deadline = True, NEVER
        cycle, self._reader.incoming = self._reader.incoming, None
        if cycle is not None and cycle is self._current:
            self._refuse_current(error)
            return
        if cycle is not None:
            self._queue.remove(cycle)
        if self._current is None:
            self._write_refusal(error)
        else:
            self._refusal = error

    def _refuse_current(self, error: FreeholdError) -> None:
        """In place of the application's answer, or instead of its rest."""
        cycle, self._current = self._current, None
        assert cycle is not None
        self._queue.clear()
        cycle.client_left()
        if cycle.has_written:
            self.transport.close()
        else:
            self._write_refusal(error)

    def _write_refusal(self, error: FreeholdError) -> None:
        log.info("Refused %s: %s", self._client, error)
        self._flow.write(render_refusal(error))
        self._linger()

    def _linger(self) -> None:
        """Close, but not before the client has read the answer: see LINGER_S."""
        self._is_deaf = True
        self._flow.resume_reading()
        self.transport.write_eof()
        self.deadline = self._now() + self._limits.linger_s

    def _stop_lingering(self) -> None:
        if self.transport.get_write_buffer_size():
            self.deadline = self._now() + self._limits.linger_s  # it still reads, or the kernel gives it up
        else:
            self.transport.abort()


def _socket_name(name: tuple[str, int] | tuple[str, int, int, int] | None) -> SocketName | None:
    return name[:2] if name else None
