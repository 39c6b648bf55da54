"""One replica's part of one allowance."""

import math
from typing import TYPE_CHECKING

from freehold.serve.gateway.quotas.meters import Meter
from freehold.serve.state.allowances import Name
from freehold.serve.state.quotas import Standing

if TYPE_CHECKING:
    from freehold.serve.gateway.quotas.account import Account

FIRST_PAUSE_S = 0.02
LONGEST_PAUSE_S = 0.25
REFUSAL_S = 1.0


class Allotment:
    """What may be reserved without asking. Always: free = lease + credit - in flight - pending - returning.

    `free` may fall below zero: a request used more than it reserved, or the lease was lost while requests were in
    flight. The next lease covers that first. Reservations read and write the fields directly: this is the hot path.
    """

    __slots__ = (
        "account",
        "ask_again_at",
        "credit",
        "free",
        "index",
        "is_dirty",
        "is_over",
        "is_scarce",
        "lacked",
        "lease",
        "left",
        "limit",
        "lost_at",
        "meter",
        "name",
        "pause_s",
        "pending",
        "refused_until",
        "returning",
        "spent",
    )

    def __init__(self, account: "Account", name: Name, meter: Meter, limit: int) -> None:
        self.account = account
        self.name = name
        self.meter = meter
        self.index = meter.index
        self.limit = limit
        self.free = 0
        self.lease = 0
        """What the database believes this replica to hold."""
        self.lost_at = math.inf
        """Monotonic time after which others may take the lease."""
        self.credit = 0
        """Taken without a lease, since the database is away."""
        self.left = limit
        """What more may be taken on credit: what was left, when the database was last seen; the limit, if never."""
        self.pending = 0
        """Used, and not yet charged in the database."""
        self.returning = 0
        """To be given back at the next opportunity."""
        self.spent = 0
        """What all replicas have used, as far as is known."""
        self.is_scarce = False
        """Give back at once what is not used: others need it."""
        self.is_dirty = False
        self.is_over = False
        """Its window has passed: settlements only."""
        self.forget_refusals()

    def forget_refusals(self) -> None:
        """The database has enough again."""
        self.lacked = 0
        self.ask_again_at = 0.0
        self.refused_until = 0.0
        self.pause_s = FIRST_PAUSE_S

    @property
    def in_flight(self) -> int:
        """Reserved by requests that are not settled."""
        return self.lease + self.credit - self.free - self.pending - self.returning

    @property
    def remaining(self) -> int:
        """What a client may count on, as far as this replica knows."""
        return max(0, self.free + self.left)

    def learn(self, standing: Standing, spent: int = 0, returned: int = 0) -> None:
        """Take over what the database says, after it has charged `spent` and taken `returned` back."""
        self.repay()
        self.free += standing.lease - self.lease + spent + returned
        self.pending -= spent
        self.returning -= returned
        self.lease = standing.lease
        self.spent = standing.spent
        self.left = max(0, self.limit - standing.spent - standing.leased)
        if not self.lease:
            self.lost_at = math.inf
        elif self.lost_at == math.inf:
            self.lost_at = 0.0  # until it is known how long it lasts

    def lack(self, need: int, now: float) -> None:
        """The database had less than `need`: ask it again after a pause, a longer one each time."""
        self.lacked = need
        if need > self.limit - self.spent - self.lease:  # whatever others may give back
            self.refuse_for_now(now)
        else:
            self.ask_again_at = now + self.pause_s
            self.pause_s = min(2 * self.pause_s, LONGEST_PAUSE_S)

    def refuse_for_now(self, now: float) -> None:
        """Nobody asks the database again for a while, whatever comes in."""
        self.refused_until = self.ask_again_at = now + REFUSAL_S
        self.pause_s = FIRST_PAUSE_S

    def drop_lease(self) -> None:
        """It was not renewed in time: others may have it by now."""
        self.free -= self.lease
        self.left += self.lease  # if the database is away, it counts among what was left
        self.lease = 0
        self.lost_at = math.inf

    def borrow(self) -> bool:
        """Take on credit what was left when the database was last seen. Returns whether there was any."""
        amount, self.left = self.left, 0
        self.free += amount
        self.credit += amount
        return amount > 0

    def repay(self) -> None:
        """The database is back: what was taken on credit has to be leased, as far as it is in use."""
        self.free -= self.credit
        self.left += self.credit
        self.credit = 0

    def give_back(self) -> bool:
        """Set aside what is free, for the courier to give back. Returns whether there was any."""
        amount = min(self.free - self.credit, self.lease)
        if amount <= 0:
            return False
        self.free -= amount
        self.returning += amount
        return True

    def change_limit(self, limit: int) -> None:
        """The key has a new limit: what is leased from now on is leased under that."""
        self.left += limit - self.limit
        self.limit = limit
        if self.left < 0:
            excess = min(-self.left, self.credit)
            self.credit -= excess
            self.free -= excess
            self.left = 0
        self.forget_refusals()
        self.give_back()
