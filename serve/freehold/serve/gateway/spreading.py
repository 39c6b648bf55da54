"""Which replica of a model has a request, and what becomes of the request while none is ready.

A replica that does not take the connection is followed by the others; one that takes the request and is lost before its
first byte, by one other: a request that ends engines must not end all of them. What nobody has taken is held, where the
model may sleep.
"""

import asyncio
import logging
from typing import Protocol

from freehold.core.errors import FreeholdError
from freehold.serve.engines.engine import Engine
from freehold.serve.engines.policies import Wish
from freehold.serve.engines.replica import Replica, ReplicaEngine
from freehold.serve.engines.service import ServiceEngine
from freehold.serve.gateway.accounts import Accounts
from freehold.serve.gateway.attempt import Attempt
from freehold.serve.gateway.connection import EngineConnection
from freehold.serve.gateway.errors import EngineLost, Unavailable
from freehold.serve.gateway.exchange import Exchange
from freehold.serve.gateway.job import Job
from freehold.serve.gateway.metrics import GatewayMetrics
from freehold.serve.gateway.owners import ResponseOwners
from freehold.serve.gateway.prefix import wish_of

log = logging.getLogger("freehold.gateway")


class Course(Protocol):
    """Whether a request is over with the trouble of one try."""

    def goes_on(self, attempt: Attempt, trouble: FreeholdError) -> bool:
        """To be called once for each."""


class SecondChance:
    """One more try, where the first one's replica was lost with the request before its first byte."""

    def __init__(self) -> None:
        self.is_taken = False

    def goes_on(self, attempt: Attempt, trouble: FreeholdError) -> bool:
        self.is_taken = attempt.is_asked and isinstance(trouble, EngineLost) and not attempt.exchange.is_cut_off
        return self.is_taken


def spreader_trouble(engine: Engine, answer: EngineConnection) -> FreeholdError | None:
    """What Ray Serve says for itself, in plain text: no vLLM has seen the request, or one was lost with it."""
    if answer.status < 400 or not answer.fields.get(b"content-type", b"").startswith(b"text/plain"):
        return None
    if answer.status == 500:
        return EngineLost(f"The engine of '{engine.name}' was lost before it answered", why="its replica ended")
    return Unavailable(f"The model '{engine.name}' is not ready", why=f"Ray Serve answers {answer.status}")


class Tour:
    """One request's way through the replicas of a model."""

    def __init__(self, service: ServiceEngine, wish: Wish, *, may_wait: bool) -> None:
        self.next: ReplicaEngine | None = None
        """Who is asked next; None where the request waits."""
        self.is_over = False
        self._service = service
        self._wish = wish
        self._may_wait = may_wait
        self._tried: list[Replica] = []
        self._was_lost = False

    def goes_on(self, attempt: Attempt, trouble: FreeholdError) -> bool:
        """Whether the request is not over with this trouble of one replica. To be called once for each."""
        engine = attempt.engine
        assert isinstance(engine, ReplicaEngine), "a tour leads through replicas"
        self._tried.append(engine.replica)
        self.next = None
        self.is_over = True
        if attempt.is_asked:
            if not isinstance(trouble, EngineLost) or self._was_lost:
                return False
            self._was_lost = True
            self.next = self._service.choose(self._wish, self._tried)
            self.is_over = self.next is None
        elif isinstance(trouble, Unavailable):
            self._service.service.lose(engine.replica, str(trouble))
            self.next = self._service.choose(self._wish, self._tried)
            self.is_over = self.next is None and (self._was_lost or not self._may_wait)
        return not self.is_over


class Try(Protocol):
    """The relay's attempt at one engine."""

    async def __call__(
        self, engine: Engine, job: Job, exchange: Exchange, *, is_last: bool, tour: Course | None = None
    ) -> FreeholdError | None: ...


class Spreading:
    """Spreads requests over replicas."""

    def __init__(self, attempt: Try, accounts: Accounts, metrics: GatewayMetrics, owners: ResponseOwners) -> None:
        self._try = attempt
        self._owners = owners
        self._accounts = accounts
        self._metrics = metrics

    async def answer(
        self, service: ServiceEngine, job: Job, exchange: Exchange, *, is_last: bool
    ) -> FreeholdError | None:
        """Relay the answer of a replica; or why the client has had nothing of one.

        Only the plan's last engine is waited for: before it, the next one is at hand.
        """
        deadline = asyncio.get_running_loop().time() + service.service.hold_s
        wish = wish_of(job.request, service.name if service.is_adapter else None)
        tour = Tour(service, wish, may_wait=is_last and service.is_held)
        engine = self._holder(service, job) or service.choose(wish)
        while True:
            if engine is None:
                try:
                    engine = await self._wait(service, wish, deadline, may_wait=is_last and service.is_held)
                except Unavailable as refusal:
                    self._give_up(service, job, exchange, refusal.http_status, is_last=is_last)
                    return refusal
                except asyncio.CancelledError:
                    self._give_up(service, job, exchange, 0, is_last=is_last)
                    raise
            place, policy = engine.replica, service.service.policy
            policy.begin(place, wish)
            try:
                trouble = await self._try(engine, job, exchange, is_last=is_last, tour=tour)
            finally:
                policy.end(place, wish)
            if trouble is None or tour.is_over:
                return trouble
            log.warning("A replica of %s did not answer, trying %s: %s", service.name, _what(tour.next), trouble)
            engine = tour.next

    def _holder(self, service: ServiceEngine, job: Job) -> ReplicaEngine | None:
        """The replica that holds the response which the request goes on from: no other one knows it."""
        before = job.request.document.get("previous_response_id") if job.request is not None else None
        owner = self._owners.known(before) if isinstance(before, str) else None
        engine = None if owner is None else service.at(owner.place)
        return None if engine is None else engine.replica.ready(service.name)

    async def _wait(self, service: ServiceEngine, wish: Wish, deadline: float, *, may_wait: bool) -> ReplicaEngine:
        """A replica that is ready. Raises Unavailable when none is in time, or too many requests wait already."""
        place, held = service.service, self._metrics.held
        why = f"{service.state}, {service.detail}"
        if not may_wait:
            raise Unavailable(f"The model '{service.name}' is not ready", why=why)
        if held.setdefault(place.model, 0) >= place.most_held:
            raise Unavailable(
                f"The model '{service.name}' is not ready", why=f"{why}; {place.most_held} requests wait for it already"
            )
        held[place.model] += 1
        try:
            limit_s = max(0.0, deadline - asyncio.get_running_loop().time())
            engine = await service.until_ready(limit_s, wish)
        finally:
            held[place.model] -= 1
        if engine is None:
            raise Unavailable(
                f"The model '{service.name}' did not become ready within {place.hold_s:.0f} s",
                why=f"{service.state}, {service.detail}",
            )
        return engine

    def _give_up(self, service: ServiceEngine, job: Job, exchange: Exchange, status: int, *, is_last: bool) -> None:
        """It ends here: account for it as for a try of which no engine knows."""
        attempt = self._accounts.begin(service, job, exchange)
        attempt.status = status or (0 if exchange.abort_error is None else exchange.abort_error.http_status)
        attempt.is_final = is_last
        self._accounts.conclude(attempt)


def _what(engine: ReplicaEngine | None) -> str:
    return "another" if engine is not None else "again when one is ready"
