"""What all parts of one request have used together, charged to its key when the last of them is accounted for."""

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from freehold.serve.gateway.quotas import Reservation


class Bill:
    """One per request. The engine of a part that was cut off may tell its usage after the client has its answer."""

    def __init__(self, reservation: "Reservation | None") -> None:
        self.prompt = 0
        self.completion = 0
        self.parts = 0
        self._money = 0
        self._reservation = reservation
        self._open = 0
        self._is_closed = False
        self._none_open = asyncio.Event()
        self._none_open.set()

    def begin(self) -> None:
        """One more part; each begun ends once."""
        self.parts += 1
        self._open += 1
        self._none_open.clear()

    def end(self, prompt: int, completion: int, money: int) -> None:
        """A part is over, and used so much."""
        self.prompt += prompt
        self.completion += completion
        self._money += money
        self._open -= 1
        if not self._open:
            self._none_open.set()
            self._settle()

    async def wait(self, limit_s: float) -> bool:
        """Wait until every part has told what it used; whether all have, within the limit."""
        if not self._open:
            return True
        try:
            async with asyncio.timeout(limit_s):
                await self._none_open.wait()
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """No part will follow."""
        self._is_closed = True
        self._settle()

    def _settle(self) -> None:
        if self._is_closed and not self._open and self._reservation is not None:
            self._reservation.settle(self.prompt + self.completion, self._money)
