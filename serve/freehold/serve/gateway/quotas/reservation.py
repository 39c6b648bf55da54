"""What one request may use."""

from typing import TYPE_CHECKING

from freehold.serve.gateway.quotas.meters import Amounts, used
from freehold.serve.gateway.quotas.rate_headers import header_lines

if TYPE_CHECKING:
    from freehold.serve.gateway.quotas.account import Account
    from freehold.serve.gateway.quotas.allotment import Allotment


class Reservation:
    """Taken from a key's limits until it is settled or cancelled, which has to happen exactly once or more often."""

    __slots__ = ("_account", "_allotments", "_is_open", "_reserved")

    def __init__(self, account: "Account", allotments: "tuple[Allotment, ...]", reserved: Amounts) -> None:
        self._account = account
        self._allotments = allotments
        self._reserved = reserved
        self._is_open = True

    def settle(self, tokens: int, money: int) -> None:
        """Charge the true use, prompt and answer together, which may be more than was reserved. Once; then a no-op."""
        if not self._is_open:
            return
        self._is_open = False
        account, reserved = self._account, self._reserved
        true = used(tokens, money)
        for allotment in self._allotments:
            index = allotment.index
            spent = true[index]
            allotment.free += reserved[index] - spent
            allotment.pending += spent
            if not allotment.is_dirty:
                allotment.is_dirty = True
                account.dirty.append(allotment)
        if account.is_watched:
            account.settled(self._allotments)

    def cancel(self) -> None:
        """No engine saw the request. It counts as a request, as a refused one does at OpenAI, and costs nothing."""
        self.settle(0, 0)

    def header_lines(self) -> bytes:
        """OpenAI's `x-ratelimit-…` headers; none for a key without limits per minute."""
        return header_lines(self._allotments, self._account.clock)
