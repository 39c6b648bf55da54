"""A request that the gateway sends for a key by itself: nobody shows the key's secret, and nobody waits at a socket.

It goes the way of every other request. Two things differ: whose it is stands in its scope, and what it used is told to
whoever sent it, who writes it down together with the answer.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from freehold.serve.gateway.principal import Principal

if TYPE_CHECKING:
    from freehold.serve.gateway.ledger import UsageEntry

DELEGATION = "freehold.delegation"
"""Key of an ASGI scope. Scopes are made by the server: no client can put it there."""


class Delegation:
    """Whose request it is, and what its tries used so far; after `take` or `release`, entries go to `ledger`."""

    __slots__ = ("_entries", "_ledger", "principal")

    def __init__(self, principal: Principal, ledger: "Callable[[UsageEntry], None]") -> None:
        self.principal = principal
        self._ledger = ledger
        self._entries: list[UsageEntry] | None = []

    def record(self, entry: "UsageEntry") -> None:
        """A try is over. One that was cut off may end long after its request."""
        if self._entries is None:
            self._ledger(entry)
        else:
            self._entries.append(entry)

    def take(self) -> "list[UsageEntry]":
        """What was used, now the caller's to account for."""
        entries, self._entries = self._entries or [], None
        return entries

    def release(self) -> None:
        """Account for it as for any other request; but refusals, which used nothing, are told to nobody."""
        for entry in self.take():
            if entry.model:
                self._ledger(entry)
