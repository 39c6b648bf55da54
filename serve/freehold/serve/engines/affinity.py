"""Prefix affinity: requests that begin alike go to the same place, as long as it has room.

A place that has read a prompt keeps its keys and values, and reads only what is new of the next one that begins alike.
So the key of a request is made of what it begins with: the adapter, the system prompt, the first message of the
session. How much of that counts depends on how popular the beginning is. A rare system prompt belongs to one place. A
popular one gets as many slots as its share of the requests is worth of the places, several times over, and the session
says which slot; a session stays in its slot. The slot's place is found by consistent hashing, so gateways agree without
a word: of the state, which is what each has sent itself, only shares matter, and all see the same traffic.

A place that has more tokens in flight than its part allows is passed over for the next on the ring (consistent hashing
with bounded loads, Mirrokni et al., 2018). Each gateway bounds what it sent itself, and the sum of bounded parts is
bounded. The numbers are chosen by `bench/scale`: docs/benchmarks/scale.md.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Protocol

import msgspec

from freehold.serve.engines.ring import Ring

MOST = 1.25
"""Of the mean of tokens in flight: what a place may have before it is passed over."""
SLACK = 4
"""Requests like this one that a place may have beside that: a gateway among many has few at each place, and a bound on
few is reached by chance."""
PROMPT_ROOM, ADAPTER_ROOM = 8, 2
"""Slots of a system prompt, or of an adapter, for each place that its share of the requests is worth. An adapter takes a
slot in the memory of every place that it is at, and a swap takes longer than a prompt."""
STEPS = 4
"""Places on the ring that are tried before any other will do."""
REQUESTS_PER_PLACE, FEWEST_REQUESTS, MOST_REQUESTS = 128, 1024, 16384
"""Shares are of about so many past requests; what is remembered of them is bounded with that."""

MIX = 0x9E3779B97F4A7C15
"""2^64 divided by the golden ratio: spreads what is multiplied by it."""


class Wish(msgspec.Struct, frozen=True):
    """What matters of a request for where it goes."""

    tokens: int
    """Of its prompt and its answer, about."""
    prompt: int | None = None
    """Hash of its system prompt; None where nothing of it will be found again."""
    session: int = 0
    """Hash of its first message."""
    adapter: int | None = None
    """Hash of the adapter's name."""


class Place(Protocol):
    """Where requests go."""

    in_flight: int
    """Requests under way there."""
    tokens: int
    """What they weigh together."""


class Shares:
    """How popular what requests begin with is, of late."""

    def __init__(self) -> None:
        self._counts: dict[int, float] = {}
        self._all = 0.0

    def begin(self, places: int) -> None:
        """One more request."""
        self._all = self._all + 1 if self._all else 8.0 * places
        if self._all > max(FEWEST_REQUESTS, min(MOST_REQUESTS, REQUESTS_PER_PLACE * places)):
            self._all /= 2
            self._counts = {key: count / 2 for key, count in self._counts.items() if count > 1}

    def slots(self, key: int, worth: int) -> int:
        """The request counts for this. A power of two, so that half of what is in a slot stays when there are more."""
        count = self._counts[key] = self._counts.get(key, 0.0) + 1
        wanted = count / self._all * worth
        slots = 1
        while slots < wanted:
            slots *= 2
        return slots


class Affinity:
    """The policy of one gateway for one model and its adapters."""

    def __init__(self) -> None:
        self.ring = Ring()
        self.shares = Shares()

    def key(self, prompt: int, session: int, adapter: int | None) -> int:
        """Where on the ring the request belongs. It counts for the shares."""
        places = len(self.ring.names)
        self.shares.begin(places)
        slot = session % self.shares.slots(prompt, places * PROMPT_ROOM)
        if adapter is None:
            return _mixed(prompt, slot)
        slots = self.shares.slots(adapter ^ MIX, places * ADAPTER_ROOM)
        return _mixed(adapter, (prompt + slot % slots) % slots)


def _mixed(one: int, other: int) -> int:
    """32 bits, of which each depends on all of both."""
    mixed = (one + other * 0x85EBCA6B + 1) * MIX & 0xFFFFFFFFFFFFFFFF
    return (mixed ^ mixed >> 29) * MIX >> 28 & 0xFFFFFFFF


def limit(wish_tokens: int, all_tokens: int, places: int) -> float:
    """The most tokens that a place may have in flight, of one gateway's, with the request itself."""
    return MOST * (all_tokens + wish_tokens) / max(1, places) + SLACK * wish_tokens
