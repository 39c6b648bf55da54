"""The policies that are compared: the gateway's own, as they are, and others that it does not have."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from freehold.serve.engines.policies import POLICIES as OF_THE_GATEWAY
from freehold.serve.engines.policies import Policy, PrefixAffinity, Wish
from freehold.serve.engines.policies.affinity import Numbers
from freehold.serve.engines.policies.least import LeastRequests
from freehold.serve.engines.policies.policy import P

MakePolicy = Callable[[], Policy]

LEAST_REQUESTS: MakePolicy = OF_THE_GATEWAY["least-requests"]
WINNER: MakePolicy = OF_THE_GATEWAY["prefix-affinity"]
ONE_PLACE, ALL_PLACES = 0.0, 2.0**20
"""Rooms with which a system prompt has one slot, and with which every session has one of its own."""
WITHOUT_BOUND = float("inf")


class RememberedPrefixes(Policy):
    """What routers with a tree of past prompts do: to whom most of the prompt was sent before, unless loads are too
    unequal (by more than 64 requests, and half as many again), and then to whom has least."""

    remembered = 100_000

    def __init__(self) -> None:
        super().__init__()
        self._least = LeastRequests()
        self._last: OrderedDict[int, str] = OrderedDict()

    def choose(self, places: Mapping[str, P], wish: Wish, takes: Callable[[P], bool]) -> P | None:
        loads = [place.in_flight for place in places.values()]
        most, fewest = max(loads), min(loads)
        prompt, session = wish.prompt or 0, wish.session | 1 << 32
        name = None
        if not (most - fewest > 64 and most > 1.5 * fewest):
            name = self._last.get(session, self._last.get(prompt))
        chosen = places.get(name) if name is not None else None
        if chosen is None:
            chosen = self._least.choose(places, wish, takes)
            name = next(name for name, place in places.items() if place is chosen)
        for key in (prompt, session):
            self._last.pop(key, None)
            self._last[key] = str(name)
        while len(self._last) > self.remembered:
            self._last.popitem(last=False)
        return chosen


@dataclass(frozen=True)
class Affinity:
    """Makes the gateway's policy with other numbers."""

    numbers: Numbers

    def __call__(self) -> Policy:
        return PrefixAffinity(self.numbers)


POLICIES: dict[str, MakePolicy] = {
    "round robin": OF_THE_GATEWAY["round-robin"],
    "least requests": LEAST_REQUESTS,
    "least tokens in flight": OF_THE_GATEWAY["least-tokens"],
    "session": Affinity(Numbers(prompt_room=ALL_PLACES, adapter_room=ALL_PLACES)),
    "system prompt, no bound": Affinity(Numbers(prompt_room=ONE_PLACE, adapter_room=ALL_PLACES, most=WITHOUT_BOUND)),
    "system prompt": Affinity(Numbers(prompt_room=ONE_PLACE, adapter_room=ALL_PLACES)),
    "adapter": Affinity(Numbers(prompt_room=ALL_PLACES, adapter_room=ONE_PLACE)),
    "remembered prefixes": RememberedPrefixes,
    "prefix affinity": WINNER,
}
"""Those that hash have the bound of the gateway's policy where they do not say "no bound"."""
