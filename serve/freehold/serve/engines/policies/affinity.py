"""Prefix affinity: requests that begin alike go to the same place, as long as it has room.

A place that has read a prompt keeps its keys and values, and reads only what is new of the next one that begins alike.
So a request's key is made of what it begins with: the adapter, the system prompt, the session's first message. How much
of that counts depends on how popular the beginning is. A rare system prompt belongs to one place. A popular one has as
many slots as its share of the requests is worth in places, several times over; the session says which slot, and stays
in it. Consistent hashing finds the slot's place, so gateways agree without a word: of what they know, which is what
each has sent itself, only the shares matter, and all of them see the same traffic.

A place with more tokens in flight than its part is passed over for the next on the ring (consistent hashing with
bounded loads: Mirrokni, Thorup, Zadimoghaddam, 2018). Each gateway bounds what it sends itself; so the sum is bounded.
"""

from collections.abc import Callable, Collection, Mapping
from itertools import islice

import msgspec

from freehold.serve.engines.policies.least import LeastTokens
from freehold.serve.engines.policies.policy import P, Policy, Wish
from freehold.serve.engines.policies.ring import Ring

FEWEST_REQUESTS, REQUESTS_PER_PLACE, MOST_REQUESTS = 1024, 128, 16384
"""Shares are of about so many of the last requests; that also bounds what is remembered of them."""
ASSUMED_PER_PLACE = 32
"""Requests of nobody in particular that a new gateway begins with."""

_MIX = 0x9E3779B97F4A7C15
"""2^64 divided by the golden ratio, odd: spreads what is multiplied by it."""


class Numbers(msgspec.Struct, frozen=True):
    """What the policy weighs up; `bench/scale` chose the defaults (docs/benchmarks/scale.md)."""

    most: float = 1.25
    """Of the mean of tokens in flight: what a place may have before it is passed over."""
    slack: float = 4.0
    """Requests like this one that a place may have beside that: one of many gateways has few at each place, and reaches
    a bound on few by chance."""
    prompt_room: float = 4.0
    """Slots of a system prompt for each place that its share of the requests is worth."""
    adapter_room: float = 1.0
    """The same of an adapter. It takes up memory at each of its places, and a swap takes longer than a prompt."""
    steps: int = 2
    """Places on the ring that are tried before the one with the least in flight will do."""


DEFAULT = Numbers()


class Shares:
    """How popular what requests begin with is, of late."""

    def __init__(self) -> None:
        self._counts: dict[int, float] = {}
        self._slots: dict[int, int] = {}
        self._all = 0.0

    def __len__(self) -> int:
        return len(self._counts)

    def begin(self, places: int) -> None:
        """One more request."""
        # The first request is not all of the traffic: others are assumed.
        self._all = self._all + 1 if self._all else float(ASSUMED_PER_PLACE * places)
        if self._all > max(FEWEST_REQUESTS, min(MOST_REQUESTS, REQUESTS_PER_PLACE * places)):
            self._all /= 2
            self._counts = {key: count / 2 for key, count in self._counts.items() if count > 1}
            self._slots = {key: slots for key, slots in self._slots.items() if key in self._counts}

    def slots(self, key: int, worth: float) -> int:
        """The request counts for this key, and so many slots it has: about its share of `worth`.

        A power of two, so that half of what has a slot keeps it when there are more; and no fewer before a half would
        be twice what is wanted, so that chance does not move sessions to and fro.
        """
        count = self._counts[key] = self._counts.get(key, 0.0) + 1
        wanted, slots = count * worth / self._all, self._slots.get(key, 1)
        if not slots / 4 < wanted <= slots:
            while slots < wanted:
                slots *= 2
            while slots > 1 and wanted <= slots / 4:
                slots //= 2
            self._slots[key] = slots
        return slots


class PrefixAffinity(Policy):
    """See above."""

    def __init__(self, numbers: Numbers = DEFAULT) -> None:
        super().__init__()
        self.ring = Ring()
        self._numbers = numbers
        self.shares = Shares()
        self._least = LeastTokens()

    def change(self, names: Collection[str]) -> None:
        self.ring.change(names)

    def choose(self, places: Mapping[str, P], wish: Wish, takes: Callable[[P], bool]) -> P | None:
        if wish.prompt is not None and self.ring.names:
            most = self.limit(wish)
            for name in islice(self.ring.walk(self._key(wish.prompt, wish)), self._numbers.steps):
                place = places.get(name)
                if place is not None and place.tokens + wish.tokens <= most and takes(place):
                    return place
        return self._least.choose(places, wish, takes)

    def limit(self, wish: Wish) -> float:
        """The most tokens in flight at a place that the request may go to, its own among them."""
        return (
            self._numbers.most * (self.tokens + wish.tokens) / len(self.ring.names) + self._numbers.slack * wish.tokens
        )

    def _key(self, prompt: int, wish: Wish) -> int:
        """Where on the ring the request belongs. It counts for the shares."""
        places = len(self.ring.names)
        self.shares.begin(places)
        slot = wish.session % self.shares.slots(prompt, places * self._numbers.prompt_room)
        if wish.adapter is None:
            return _mixed(prompt, slot)
        slots = self.shares.slots(wish.adapter | 1 << 32, places * self._numbers.adapter_room)
        return _mixed(wish.adapter, (prompt + slot % slots) % slots)


def _mixed(one: int, other: int) -> int:
    """32 bits, each of which depends on all of both."""
    mixed = (one + (other << 32) + 1) * _MIX & 0xFFFFFFFFFFFFFFFF
    return ((mixed ^ mixed >> 29) * _MIX & 0xFFFFFFFFFFFFFFFF) >> 32
