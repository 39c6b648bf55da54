"""Asking within a run: once for each content, in the journal, within the budget, again where that helps."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import httpx

from freehold.core.errors import FreeholdError, RemoteError
from freehold.core.progress import hint
from freehold.evaluate.running.cache import Cache, content_key
from freehold.evaluate.running.journal import Journal, exchange_key
from freehold.evaluate.running.spending import Share, Spending
from freehold.evaluate.running.stopping import Stop
from freehold.evaluate.targets.amounts import Amount, at_most, used
from freehold.evaluate.targets.attempt import Again, attempt, client_of
from freehold.evaluate.targets.endpoint import Endpoint
from freehold.evaluate.targets.reply import Reply
from freehold.evaluate.targets.retries import delay_s

GIVE_UP = 3
"""Requests that may fail one after another, each after all its retries, before a run ends."""


@dataclass(frozen=True)
class _Exchange:
    """One question to one endpoint."""

    name: str
    path: str
    body: dict[str, Any]
    sample: int
    purse: Spending | Share

    @property
    def key(self) -> str:
        return exchange_key(self.name, self.path, self.body, self.sample)


class _Line:
    """What is known of one endpoint: its client, its slots, and who it is."""

    def __init__(self, endpoint: Endpoint, key: str | None) -> None:
        self.endpoint = endpoint
        self.client: httpx.AsyncClient = client_of(endpoint, key)
        self.slots = asyncio.Semaphore(endpoint.concurrency)
        self.meeting = asyncio.Lock()
        self.fingerprint: str | None = None
        """None until it has answered in this sitting: another model may have taken its place since."""
        self.failed_in_a_row = 0


class Asking:
    """Satisfies `scorers.Ask`; `reply` is for targets, and tells refusals."""

    def __init__(
        self,
        judge: Endpoint | None,
        journal: Journal,
        spending: Spending,
        stop: Stop,
        *,
        cache: Cache | None,
        environ: Mapping[str, str],
    ) -> None:
        self.judge = judge
        self.from_cache: Counter[str] = Counter()
        """Answers that were not asked for again, by name."""
        self._journal, self._spending, self._stop, self._cache = journal, spending, stop, cache
        self._environ = environ
        self._lines: dict[tuple[str, str], _Line] = {}
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def __call__(
        self, name: str, endpoint: Endpoint, path: str, body: dict[str, Any], *, sample: int = 0
    ) -> Reply:
        """An answer. Raises RemoteError where there is none, BudgetSpent, Stopped."""
        reply = await self.reply(name, endpoint, path, body, sample=sample)
        if reply.outcome != "answered":
            raise RemoteError(
                f"{endpoint.model}, which scores answers ({name}), gave none",
                why=reply.error,
                next_step="Everything that was answered is kept: resume the run when it is mended.",
            )
        return reply

    async def share(self, asked: Iterable[tuple[str, Endpoint, str, dict[str, Any], int]]) -> Share:
        """What those of (name, endpoint, path, body, sample) may use that have not been answered, for `reply`."""
        live = (each for each in asked if self._journal.reply(exchange_key(each[0], *each[2:])) is None)
        return await self._spending.share(
            sum((at_most(body, endpoint.prices) for _, endpoint, _, body, _ in live), Amount())
        )

    async def reply(
        self,
        name: str,
        endpoint: Endpoint,
        path: str,
        body: dict[str, Any],
        *,
        sample: int = 0,
        share: Share | None = None,
    ) -> Reply:
        """What comes of asking, or came of it before. Raises BudgetSpent, Stopped, and RemoteError to end the run."""
        exchange = _Exchange(name, path, body, sample, share or self._spending)
        async with self._turns[exchange.key]:
            if known := self._journal.reply(exchange.key):
                return known
            line = self._line(name, endpoint)
            if self._cache is None:
                return await self._live(line, exchange)
            return await self._by_cache(line, self._cache, exchange)

    async def _by_cache(self, line: _Line, cache: Cache, exchange: _Exchange) -> Reply:
        """What is kept counts for the very model that answers today; who that is, its first answer tells."""
        if line.fingerprint is None:
            async with line.meeting:
                if line.fingerprint is None:
                    reply = await self._live(line, exchange)
                    if reply.outcome == "answered":
                        line.fingerprint = reply.fingerprint
                        cache.put(_kept_as(line, exchange), reply)
                    return reply
        if kept := cache.get(_kept_as(line, exchange)):
            self._journal.found(exchange.key, kept)
            self.from_cache[exchange.name] += 1
            return kept
        reply = await self._live(line, exchange)
        if reply.fingerprint == line.fingerprint:
            cache.put(_kept_as(line, exchange), reply)
        return reply

    async def _live(self, line: _Line, exchange: _Exchange) -> Reply:
        async with line.slots:
            try:
                return await self._until_answered(line, exchange)
            except FreeholdError:
                # While the slot is still held: who waits for it must not begin.
                self._stop.ask()
                raise

    async def _until_answered(self, line: _Line, exchange: _Exchange) -> Reply:
        """The slot is held while it waits as well: what is overloaded gets fewer requests."""
        may_use = at_most(exchange.body, line.endpoint.prices)
        why = ""
        for retry in range(line.endpoint.retries + 1):
            came = await self._once(line, exchange, may_use)
            if isinstance(came, Reply):
                line.failed_in_a_row = 0
                return came
            why = came.why
            if retry < line.endpoint.retries:
                await self._stop.sleep(delay_s(line.endpoint, retry, came))
        return self._failed(line, exchange.name, why)

    async def _once(self, line: _Line, exchange: _Exchange, may_use: Amount) -> Reply | Again:
        self._stop.check()
        await exchange.purse.reserve(may_use)
        spent = Amount()
        try:
            self._stop.check()
            number = self._journal.sent(exchange.key, may_use)
            spent = may_use  # should this be cancelled, nobody knows better
            try:
                came = await attempt(line.client, exchange.path, exchange.body)
            except FreeholdError as error:
                spent = Amount()
                self._journal.ended(number, spent, why=str(error))
                raise
            spent = _spent(came, may_use, line.endpoint)
            if isinstance(came, Reply):
                self._journal.ended(number, spent, key=exchange.key, reply=came)
            else:
                self._journal.ended(number, spent, why=came.why)
            return came
        finally:
            await exchange.purse.settle(may_use, spent)

    def _failed(self, line: _Line, name: str, why: str) -> Reply:
        line.failed_in_a_row += 1
        tries = line.endpoint.retries + 1
        hint(f"{name} did not answer in {tries} tries; the last: {why}")
        if line.failed_in_a_row >= GIVE_UP:
            raise RemoteError(
                f"{name} ({line.endpoint.base_url}) does not answer",
                why=f"{GIVE_UP} requests in a row failed after {tries} tries each; the last: {why}",
                next_step="Everything that was answered is kept: resume the run when it is back.",
            )
        return Reply(outcome="failed", error=f"no answer in {tries} tries; the last: {why}")

    def _line(self, name: str, endpoint: Endpoint) -> _Line:
        key = (name, endpoint.model_dump_json())
        if key not in self._lines:
            secret = self._environ.get(endpoint.api_key_from.env) if endpoint.api_key_from else None
            self._lines[key] = _Line(endpoint, secret)
        return self._lines[key]

    async def __aenter__(self) -> "Asking":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for line in self._lines.values():
            await line.client.aclose()


def _kept_as(line: _Line, exchange: _Exchange) -> str:
    """Under its fingerprint; what tells none goes by its address."""
    return content_key(line.fingerprint or line.endpoint.base_url, exchange.path, exchange.body, exchange.sample)


def _spent(came: Reply | Again, may_use: Amount, endpoint: Endpoint) -> Amount:
    if isinstance(came, Again):
        return may_use if came.may_be_billed else Amount()
    if came.usage is not None:
        return used(came.usage, endpoint.prices)
    return may_use if came.outcome == "answered" else Amount()
