"""A key's allotments of the current windows, and what is taken of them."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress

from freehold.serve.gateway.principal import Limits
from freehold.serve.gateway.quotas.allotment import Allotment
from freehold.serve.gateway.quotas.clock import MINUTE_S, WindowClock
from freehold.serve.gateway.quotas.meters import Amounts, limits_of, window_start
from freehold.serve.gateway.quotas.portfolio import Portfolio
from freehold.serve.gateway.quotas.reservation import Reservation
from freehold.serve.state.allowances import Name


class Account:
    """One key in one replica."""

    __slots__ = (
        "allotments",
        "answer",
        "clock",
        "dirty",
        "hurry",
        "is_watched",
        "key_id",
        "limits",
        "portfolio",
        "turns_at",
        "used_at",
        "waiting",
    )

    def __init__(self, key_id: str, clock: WindowClock, portfolio: Portfolio, hurry: Callable[[], None]) -> None:
        self.key_id = key_id
        self.clock = clock
        self.portfolio = portfolio
        self.dirty = portfolio.dirty
        self.hurry = hurry
        """Called when another replica waits for what is given back."""
        self.limits: Limits | None = None
        self.allotments: tuple[Allotment, ...] = ()
        self.turns_at = 0.0
        """Monotonic time at which a window ends."""
        self.used_at = 0.0
        """Monotonic time at which something was last taken, or got for somebody to take."""
        self.answer: asyncio.Future[None] | None = None
        """Done when the database has answered, or has failed to; none if it is not being asked for this key."""
        self.waiting: asyncio.Event | None = None
        """Set at the next change for the better, if anybody waits for one."""
        self.is_watched = False
        """Whether somebody, here or elsewhere, waits for what reservations leave unused."""

    def open(self, limits: Limits) -> None:
        """Have allotments of the current windows under these limits."""
        now = self.clock.monotonic()
        if limits is self.limits and now < self.turns_at:
            return
        before = {allotment.name: allotment for allotment in self.allotments}
        opened = []
        for meter, limit in limits_of(limits):
            name = Name(self.key_id, meter.name, window_start(meter, self.clock))
            before.pop(name, None)
            allotment = self.portfolio.open.get(name)
            if allotment is None:
                allotment = Allotment(self, name, meter, limit)
                self.portfolio.add(allotment)
            elif allotment.limit != limit:
                allotment.change_limit(limit)
                self.portfolio.mark(allotment)
            allotment.is_over = False
            opened.append(allotment)
        for allotment in before.values():
            self.portfolio.retire(allotment)
        self.limits = limits
        self.allotments = tuple(opened)
        self.turns_at = self.clock.monotonic_at(self.clock.minute() + MINUTE_S)
        self.watch()

    def take(self, amounts: Amounts, now: float) -> Reservation | None:
        """All of it or nothing."""
        for allotment in self.allotments:
            if allotment.free < amounts[allotment.index] or now >= allotment.lost_at:
                return None
        for allotment in self.allotments:
            allotment.free -= amounts[allotment.index]
        self.used_at = now
        return Reservation(self, self.allotments, amounts)

    def short(self, amounts: Amounts) -> Iterator[tuple[Allotment, int]]:
        """Allotments that have too little, and how much more each would need."""
        for allotment in self.allotments:
            lacking = amounts[allotment.index] - allotment.free
            if lacking > 0:
                yield allotment, lacking

    def drop_lost_leases(self, now: float) -> None:
        """Rely no longer on leases that were not renewed in time."""
        for allotment in self.allotments:
            if now >= allotment.lost_at:
                allotment.drop_lease()

    def watch(self) -> None:
        """See whether reservations have to tell when they leave something."""
        self.is_watched = self.waiting is not None or any(allotment.is_scarce for allotment in self.allotments)

    async def change(self, timeout_s: float) -> None:
        """Wait until something has changed for the better, or so long."""
        if self.waiting is None:
            self.waiting = asyncio.Event()
            self.is_watched = True
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self.waiting.wait()

    def wake(self) -> None:
        """Something has changed for those who wait."""
        if self.waiting is not None:
            self.waiting.set()
            self.waiting = None

    def settled(self, allotments: tuple[Allotment, ...]) -> None:
        """A reservation has left something: for those who wait here, or else for the other replicas."""
        if self.waiting is not None:
            self.wake()
            self.watch()
            return
        for allotment in allotments:
            if allotment.is_scarce and allotment.give_back():
                self.hurry()
