"""What a policy is told, and what it answers."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from typing import Protocol, TypeVar

import msgspec


class Wish(msgspec.Struct, frozen=True):
    """What matters of a request for where it goes."""

    tokens: int = 0
    """Of its prompt and its answer, about."""
    prompt: int | None = None
    """Hash of its system prompt, 32 bits; None where nothing of the request will be found again."""
    session: int = 0
    """Hash of its first message, 32 bits."""
    adapter: int | None = None
    """Hash of the adapter's name, 32 bits; None for the model itself."""


ANY = Wish()
"""Of a request for which any place is as good."""


class Place(Protocol):
    """Where requests go."""

    in_flight: int
    """Requests under way there, of this gateway."""
    tokens: int
    """What they weigh together."""


P = TypeVar("P", bound=Place)


class Policy(ABC):
    """One gateway's, for one model and its adapters. It knows what this gateway sends, and nothing of others."""

    def __init__(self) -> None:
        self.tokens = 0
        """In flight at all places together."""

    def change(self, names: Collection[str]) -> None:
        """These places take requests from now on, at least for the model itself."""
        return

    @abstractmethod
    def choose(self, places: Mapping[str, P], wish: Wish, takes: Callable[[P], bool]) -> P | None:
        """The place for a request; None if there is none that takes it. It does not begin there yet."""

    def begin(self, place: Place, wish: Wish) -> None:
        """The request is under way there."""
        place.in_flight += 1
        place.tokens += wish.tokens
        self.tokens += wish.tokens

    def end(self, place: Place, wish: Wish) -> None:
        """It is not any more. To be called once for each `begin`."""
        place.in_flight -= 1
        place.tokens -= wish.tokens
        self.tokens -= wish.tokens
