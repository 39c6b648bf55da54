"""What each key may still use, kept in memory: the one thing that the relay asks."""

import secrets
import time
from collections.abc import Callable, Iterable

from freehold.serve.gateway.principal import Limits
from freehold.serve.gateway.quotas.account import Account
from freehold.serve.gateway.quotas.allotment import Allotment
from freehold.serve.gateway.quotas.clock import WindowClock
from freehold.serve.gateway.quotas.courier import Courier
from freehold.serve.gateway.quotas.line import DatabaseLine
from freehold.serve.gateway.quotas.meters import Amounts, reserved
from freehold.serve.gateway.quotas.portfolio import Portfolio
from freehold.serve.gateway.quotas.refusal import refusal, refusal_for_ever
from freehold.serve.gateway.quotas.reservation import Reservation
from freehold.serve.state.database import Database

SLOW_S = 3.0
"""A database that takes longer is taken for absent. Not less, or limits would not be hard where it is merely busy."""
PATIENCE_S = 1.5
"""How long a request waits for other replicas to give back what they do not use."""


def new_replica_id() -> str:
    """An id for one life of a gateway process."""
    return f"rep_{secrets.token_hex(6)}"


class QuotaBook:
    """Reserves and settles what requests use, within limits that all replicas share through the database.

    Without a database, or while it does not answer, each replica keeps the limits for itself: it lets keys use what was
    left when it last saw the database (the whole limit, if it never did), and charges that when the database is back.
    """

    def __init__(
        self,
        database: Database | None,
        replica_id: str,
        *,
        lease_s: float = 30.0,
        sync_s: float = 0.5,
        slow_s: float = SLOW_S,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.replica_id = replica_id
        self._clock = WindowClock(wall, monotonic)
        self._clock.on_leap = self._turn_all
        self._monotonic = monotonic
        self._accounts: dict[str, Account] = {}
        self._portfolio = Portfolio(is_alone=database is None)
        self._courier: Courier | None = None
        if database is not None:
            line = DatabaseLine(database, monotonic, slow_s)
            self._courier = Courier(
                line, self._portfolio, self._clock, replica_id=replica_id, lease_s=lease_s, sync_s=sync_s
            )

    async def start(self) -> None:
        """Make the replica known, and begin to settle in the background. An absent database is no obstacle."""
        if self._courier:
            await self._courier.start()

    async def close(self) -> None:
        """Charge what was used and give back the rest. What cannot be charged now is lost."""
        if self._courier:
            await self._courier.close()

    async def sync(self) -> None:
        """Settle now rather than within `sync_s`."""
        if self._courier:
            await self._courier.visit()

    @property
    def is_away(self) -> bool:
        """Each replica keeps limits for itself at present."""
        return self._courier is None or self._courier.is_away

    def reserve(self, key_id: str, limits: Limits, tokens: int, money: int) -> Reservation | None:
        """What a request takes at most, prompt and answer together, if there is enough at hand; else ask `acquire`."""
        account = self._accounts.get(key_id)
        if account is None or account.limits is not limits:
            return None
        now = self._monotonic()
        if now >= account.turns_at:
            return None
        return account.take(reserved(tokens, money), now)

    async def acquire(self, key_id: str, limits: Limits, tokens: int, money: int) -> Reservation:
        """The same, with a look at the database and a wait for other replicas if need be. Raises OverLimit."""
        account = self._accounts.get(key_id)
        if account is None:
            account = self._accounts[key_id] = Account(key_id, self._clock, self._portfolio, self._hurry)
        amounts = reserved(tokens, money)
        until = self._monotonic() + PATIENCE_S
        while True:
            now = self._open(account, limits)
            self._check_possible(account, amounts)
            if reservation := account.take(amounts, now):
                return reservation
            short = list(account.short(amounts))
            if self._courier is None or self._courier.is_away:
                if any(self._portfolio.lend(allotment) for allotment, _ in short):
                    continue
                raise refusal(account.allotments, short, amounts, self._clock)
            pause_s = _pause_s(short, now, until)
            if pause_s is None:
                raise refusal(account.allotments, short, amounts, self._clock)
            if pause_s:
                await account.change(pause_s)
            else:
                await self._courier.ask(account, amounts)

    def _open(self, account: Account, limits: Limits) -> float:
        """Bring the account up to date. Returns the monotonic time."""
        now = self._monotonic()
        if self._courier is None:
            self._clock.observe(self._clock.wall(), now, now)
        account.open(limits)
        account.drop_lost_leases(now)
        return now

    def _check_possible(self, account: Account, amounts: Amounts) -> None:
        for allotment in account.allotments:
            if amounts[allotment.index] > allotment.limit:
                raise refusal_for_ever(account.allotments, allotment, amounts, self._clock)

    def _hurry(self) -> None:
        if self._courier:
            self._courier.hurry()

    def _turn_all(self) -> None:
        for account in self._accounts.values():
            account.turns_at = 0.0


def _pause_s(short: Iterable[tuple[Allotment, int]], now: float, until: float) -> float | None:
    """How long not to ask the database, since it has just said no; None for asking no more."""
    refused = [allotment for allotment, lacking in short if allotment.lacked and lacking >= allotment.lacked]
    if now >= until:
        for allotment in refused:
            allotment.refuse_for_now(now)
        return None
    blocked = [allotment for allotment in refused if now < allotment.ask_again_at]
    if any(now < allotment.refused_until for allotment in blocked):
        return None
    return max((min(allotment.ask_again_at, until) - now for allotment in blocked), default=0.0)
