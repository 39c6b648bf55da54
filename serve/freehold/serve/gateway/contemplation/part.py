"""One part of a contemplation: a request to one engine, whose client lives in memory."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal, cast

import msgspec

from freehold.core.errors import FreeholdError
from freehold.serve.engines.engine import Engine
from freehold.serve.gateway.contemplation.bill import Bill
from freehold.serve.gateway.contemplation.reading import AnswerReader, OnText
from freehold.serve.gateway.exchange import Exchange
from freehold.serve.gateway.http.cycle import CYCLE, Cycle
from freehold.serve.gateway.job import Job
from freehold.serve.gateway.request import RelayedRequest
from freehold.serve.gateway.routing.plan import Plan

if TYPE_CHECKING:
    from freehold.serve.config import Record

Kind = Literal["draft", "critique", "merge"]
Serve = Callable[[Job, Exchange], Awaitable[None]]
"""The relay's way to let an engine answer."""
Room = Callable[[], Awaitable[None]]

_encode = msgspec.json.Encoder().encode


class PartPlan(Plan):
    """One engine, on the route's account; only the whole is recorded."""

    @property
    def first_byte_timeout_s(self) -> float | None:
        return None

    @property
    def record(self) -> "Record | None":
        return None


class PartClient:
    """What a relayed answer is sent to instead of a connection: as much of `Cycle` as an exchange uses."""

    def __init__(self, reader: AnswerReader, room: Room) -> None:
        self.task: asyncio.Task[None] | None = None
        self.status = 0
        self.is_whole = False
        """The answer has come to its end."""
        self.is_gone = False
        self._reader = reader
        self._room = room
        self._on_gone: Callable[[], None] | None = None

    def when_gone(self, callback: Callable[[], None]) -> None:
        self._on_gone = callback

    def release(self) -> None:
        """Let go of what leads back here, as a cycle does."""
        self._on_gone = None

    def leave(self) -> None:
        """Do what a client does that closes its connection."""
        self.is_gone = True
        if self._on_gone is not None:
            self._on_gone()

    def start(self, status: int, headers: Iterable[tuple[bytes, bytes]], lines: bytes = b"") -> None:
        self.status = status
        kind = next((value for name, value in headers if name == b"content-type"), b"")
        self._reader.is_stream = kind.startswith(b"text/event-stream")

    def push(self, body: bytes, *, more: bool = True) -> bool:
        waits = self._reader.feed(body)
        if not more:
            self._reader.end()
            self.is_whole = True
        return waits

    async def room(self) -> None:
        await self._room()


async def _no_wait() -> None:
    """There is always room in memory."""


class Part:
    """Asked by `start`; then its task ends when it is answered, lost or cut off, and the fields say which."""

    def __init__(
        self, kind: Kind, number: int, engine: Engine, fields: dict[str, Any], cap: int, whole: Job, outer: Exchange
    ) -> None:
        self.kind = kind
        self.number = number
        self.engine = engine
        self.cap = cap
        """Most tokens that it may generate."""
        self.used: int | None = None
        """Tokens that it has generated; None before it is accounted for."""
        self.why_cut = ""
        self.is_over = False
        name = "max_completion_tokens" if engine.provider == "openai" else "max_tokens"
        document = {
            "model": engine.name,
            **fields,
            name: min(cap, engine.context_tokens or cap),
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        body = _encode(document)
        request = RelayedRequest(whole.endpoint, body, engine.name, document)
        request_id = f"{whole.request_id}-{kind}{number}"
        self._job = Job(
            whole.endpoint, whole.principal, PartPlan((engine,), whole.plan.spec), body, request, request_id
        )
        self._outer = outer
        self._exchange: Exchange | None = None
        self._reader = AnswerReader()
        self._client = PartClient(self._reader, _no_wait)

    @property
    def name(self) -> str:
        """As the transcript has it."""
        what = f"{self.kind.capitalize()} {self.number}" if self.number else "The judge"
        return f"{what} ({self.engine.name})"

    @property
    def text(self) -> str:
        return self._reader.text

    @property
    def mean_logprob(self) -> float | None:
        return self._reader.mean_logprob

    @property
    def finish_reason(self) -> str:
        return self._reader.finish_reason or "stop"

    @property
    def fingerprint(self) -> str:
        return self._reader.fingerprint or self.engine.fingerprint

    @property
    def status(self) -> int:
        """What the engine answered, or the gateway for it; 0 before."""
        return self._client.status

    @property
    def problem(self) -> str:
        """Why it is no use; empty if it is whole and says something."""
        if self.why_cut:
            return self.why_cut
        if self.status != 200:
            why = f": {self._reader.problem}" if self._reader.problem else ""
            return f"it answered {self.status}{why}"
        if self._reader.problem:
            return self._reader.problem
        if not self._client.is_whole:
            return "its answer broke off"
        return "" if self.text.strip() else "it said nothing"

    @property
    def charged(self) -> int:
        """Tokens to count against the budget: while nobody knows, all that it may have."""
        return self.cap if self.used is None else self.used

    def show(self, on_text: OnText, room: Room) -> None:
        """Pass its text on while it comes. To be called before `start`."""
        self._reader = AnswerReader(on_text)
        self._client = PartClient(self._reader, room)

    def start(self, serve: Serve, bill: Bill) -> "asyncio.Task[None]":
        """Ask the engine, on a task of its own."""
        bill.begin()

        def account(prompt: int, completion: int, money: int) -> None:
            self.used = completion
            bill.end(prompt, completion, money)

        self._job.on_end = account
        scope = {**self._outer.scope, "extensions": {CYCLE: cast(Cycle, self._client)}}
        self._exchange = Exchange(self._job.endpoint, scope, perf_counter())
        self._exchange.principal = self._outer.principal
        if self._outer.span is not None:
            self._exchange.span = self._outer.span.part(f"{self.kind} {self.number}".rstrip(" 0"))
        return asyncio.get_running_loop().create_task(self._run(serve, self._exchange))

    def cut(self, error: FreeholdError) -> None:
        """Stop the engine; what it has used is still accounted for."""
        if self._exchange is not None and not self.is_over:
            self.why_cut = str(error)
            self._exchange.abort(error)

    def leave(self) -> None:
        """The client has left."""
        if self._exchange is not None and not self.is_over:
            self.why_cut = "the client left"
            self._client.leave()

    async def _run(self, serve: Serve, exchange: Exchange) -> None:
        task = self._client.task = asyncio.current_task()
        assert task is not None, "it runs in a task"
        if self.why_cut:  # before it began: no engine knows of it
            self.is_over = True
            assert self._job.on_end is not None, "it was started"
            self._job.on_end(0, 0, 0)
            if exchange.span is not None:
                exchange.span.end(0, error_type="contemplation_cut")
            return
        exchange.watch()
        try:
            await serve(self._job, exchange)
        except asyncio.CancelledError:
            if not exchange.is_cut_off:
                raise
            task.uncancel()
            if exchange.abort_error is not None:
                exchange.fail(exchange.abort_error)
        finally:
            exchange.close()
            self._client.release()
            self.is_over = True
