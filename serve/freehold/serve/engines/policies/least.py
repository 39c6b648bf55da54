"""The place with the least to do, of what this gateway knows."""

from abc import abstractmethod
from collections.abc import Callable, Mapping

from freehold.serve.engines.policies.policy import P, Place, Policy, Wish


class Least(Policy):
    """Equals take turns."""

    def __init__(self) -> None:
        super().__init__()
        self._turn = 0

    @abstractmethod
    def load(self, place: Place) -> int: ...

    def choose(self, places: Mapping[str, P], wish: Wish, takes: Callable[[P], bool]) -> P | None:
        self._turn += 1
        there = [place for place in places.values() if takes(place)]
        if not there:
            return None
        loads = [self.load(place) for place in there]
        least = min(loads)
        equal = [place for place, load in zip(there, loads, strict=True) if load == least]
        return equal[self._turn % len(equal)]


class LeastRequests(Least):
    """Fewest requests in flight."""

    def load(self, place: Place) -> int:
        return place.in_flight


class LeastTokens(Least):
    """Fewest tokens in flight."""

    def load(self, place: Place) -> int:
        return place.tokens
