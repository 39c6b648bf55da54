"""Everything that this replica holds of all keys' allowances, and how that agrees with the database."""

from collections.abc import Iterable, Mapping

from freehold.serve.gateway.quotas.allotment import Allotment
from freehold.serve.gateway.quotas.errand import Batch
from freehold.serve.state.allowances import Name
from freehold.serve.state.quotas import Grant, Settlement, Standing

IDLE_S = 2.0
"""A key without requests for so long gives its leases back."""
TRUSTED = 0.8
"""Part of a lease's time for which its holder relies on it."""
GONE = Standing(0, 0, 0)
NOTHING = Grant(0, GONE, is_scarce=False)


class Portfolio:
    """Allotments by name. What the database answers is taken over as it is: it alone knows what others took back."""

    def __init__(self, *, is_alone: bool) -> None:
        self.is_alone = is_alone
        """There is no database to settle with."""
        self.open: dict[Name, Allotment] = {}
        """Everything that has a lease or may get one."""
        self.dirty: list[Allotment] = []
        """What may have something to settle."""
        self._leased: dict[Name, Allotment] = {}
        self._lent: list[Allotment] = []
        self._orphans: dict[Name, int] = {}
        """Leases that the database has and nobody here knows of."""
        self._batch: Batch | None = None
        self._number = 0

    def add(self, allotment: Allotment) -> None:
        """It may get leases."""
        self.open[allotment.name] = allotment
        allotment.is_dirty = self.is_alone  # or settlements would pile up

    def retire(self, allotment: Allotment) -> None:
        """Its window has passed, or its limit was lifted. Requests in flight will still be settled."""
        allotment.is_over = True
        if self.is_alone:
            del self.open[allotment.name]
        else:
            self._give_back(allotment)

    def mark(self, allotment: Allotment) -> None:
        """It has something to settle."""
        if not allotment.is_dirty:
            allotment.is_dirty = True
            self.dirty.append(allotment)

    @property
    def is_repeating(self) -> bool:
        """The next batch is one of which nobody knows whether it was applied; what came later waits behind it."""
        return self._batch is not None

    def batch(self) -> Batch | None:
        """What is to be settled; the same again, until it is known to be."""
        if self._batch is None:
            settlements = [
                Settlement(item.name, item.pending, item.returning)
                for item in self.dirty
                if item.pending or item.returning
            ]
            for item in self.dirty:
                item.is_dirty = False
            self.dirty.clear()
            settlements += [
                Settlement(name, 0, lease) for name, lease in self._orphans.items() if name not in self.open
            ]
            self._orphans.clear()
            if settlements:
                self._number += 1
                self._batch = Batch(self._number, settlements)
        return self._batch

    def settled(self, standings: Mapping[Name, Standing]) -> None:
        """The batch was applied."""
        batch, self._batch = self._batch, None
        for name, spent, give_back in batch.settlements if batch else ():
            # A name that does not come back is a minute long over, whose row is gone.
            if name in self.open:
                self._learn(self.open[name], standings.get(name, GONE), spent, give_back)

    def granted(
        self,
        asked: Iterable[tuple[Allotment, int]],
        grants: Mapping[Name, Grant],
        began: float,
        ended: float,
        lease_s: float,
    ) -> None:
        """The database was asked for so much of these, in a call between these monotonic times."""
        for allotment, lacking in asked:
            grant = grants.get(allotment.name, NOTHING)
            self._learn(allotment, grant.standing)
            allotment.is_scarce = grant.is_scarce
            if allotment.lease:
                allotment.lost_at = began + TRUSTED * lease_s
            if grant.granted:
                allotment.forget_refusals()
            else:
                allotment.lack(lacking, ended)

    def renewed(self, standings: Mapping[Name, Standing], since: float, lease_s: float) -> None:
        """These are all the leases of this replica, and they were prolonged."""
        for name in self._leased.keys() - standings.keys():
            allotment = self._leased.pop(name)
            allotment.drop_lease()
            allotment.left = 0  # others have taken it back, and maybe used it
        for name, standing in standings.items():
            if name in self.open:
                self._learn(self.open[name], standing)
                self.open[name].lost_at = since + TRUSTED * lease_s
            else:
                self._orphans[name] = standing.lease

    def _learn(self, allotment: Allotment, standing: Standing, spent: int = 0, returned: int = 0) -> None:
        allotment.learn(standing, spent, returned)
        if allotment.lease:
            self._leased[allotment.name] = allotment
        else:
            self._leased.pop(allotment.name, None)

    def give_back(self, names: Iterable[Name]) -> bool:
        """Set aside what is free of these, since others want it, now and for the next time. Whether there was any."""
        found = False
        for name in names:
            if name in self.open:
                allotment = self.open[name]
                allotment.is_scarce = allotment.account.is_watched = True
                found = self._give_back(allotment) or found
        return found

    def give_back_idle(self, now: float) -> None:
        """Set aside what is free of keys that make no requests."""
        for allotment in self._leased.values():
            if allotment.is_over or now - allotment.account.used_at > IDLE_S:
                self._give_back(allotment)

    def _give_back(self, allotment: Allotment) -> bool:
        if not allotment.give_back():
            return False
        self.mark(allotment)
        return True

    def lend(self, allotment: Allotment) -> bool:
        """Let it take on credit what was left when the database was last seen. Returns whether there was any."""
        has_more = allotment.borrow()
        if has_more and not self.is_alone:
            self._lent.append(allotment)
        return has_more

    def call_in(self) -> None:
        """The database is there: no credit any more."""
        for allotment in self._lent:
            allotment.repay()
        self._lent.clear()

    def forget_over(self) -> None:
        """Drop windows that have passed and are settled."""
        over = [name for name, item in self.open.items() if item.is_over and not (item.lease or item.in_flight)]
        for name in over:
            if not (self.open[name].pending or self.open[name].returning):
                del self.open[name]
