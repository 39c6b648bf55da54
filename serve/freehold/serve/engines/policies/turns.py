"""One after the other, whatever they are asked."""

from collections.abc import Callable, Mapping

from freehold.serve.engines.policies.policy import P, Policy, Wish


class RoundRobin(Policy):
    """Every place in turn."""

    def __init__(self) -> None:
        super().__init__()
        self._turn = 0

    def choose(self, places: Mapping[str, P], wish: Wish, takes: Callable[[P], bool]) -> P | None:
        self._turn += 1
        there = [place for place in places.values() if takes(place)]
        return there[self._turn % len(there)] if there else None
