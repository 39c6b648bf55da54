"""Asks parts side by side, within the tokens and the time of their contemplation."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from freehold.serve.engines.engine import Engine
from freehold.serve.gateway.contemplation.bill import Bill
from freehold.serve.gateway.contemplation.council import Council
from freehold.serve.gateway.contemplation.errors import PartCut
from freehold.serve.gateway.contemplation.part import Kind, Part
from freehold.serve.gateway.contemplation.wish import Wish
from freehold.serve.gateway.exchange import Exchange
from freehold.serve.gateway.job import Job

KEEP_ALIVE_S = 5.0
"""A stream that has nothing to tell for so long begins with a comment: proxies give up on silent connections."""
OUT_OF_TIME = "the time budget is over"
OUT_OF_TOKENS = "the token budget is used up"
_FOR_DRAFTS = 0.75
"""Share of a debate's time for drafts and critiques; the rest is the judge's."""

Start = Callable[[Part, Bill], "asyncio.Task[None]"]


class Asking:
    """Every part that was asked, in `parts`, and what they used, in `bill`."""

    def __init__(
        self, council: Council, wish: Wish, job: Job, exchange: Exchange, start: Start, keep_alive: Callable[[], None]
    ) -> None:
        self.parts: list[Part] = []
        self.bill = Bill(job.reservation)
        self._config = council.config
        self._wish = wish
        self._job = job
        self._exchange = exchange
        self._start = start
        self._keep_alive = keep_alive
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()

    def spent(self, left: int) -> str:
        """Which budget has nothing for so many more parts, before the judge's share; empty if both have."""
        if not self._cap(left):
            return OUT_OF_TOKENS
        return OUT_OF_TIME if self._until(is_last=False) <= self._loop.time() else ""

    def part(
        self, kind: Kind, number: int, engine: Engine, fields: dict[str, Any], left: int, *, is_answer: bool = False
    ) -> Part:
        """One part with its share of the tokens; `left` are the parts that share what is left, this one included."""
        cap = self._cap(left)
        if is_answer and self._wish.answer_tokens is not None:
            cap = min(cap, self._wish.answer_tokens)
        return Part(kind, number, engine, fields, cap, self._job, self._exchange)

    async def run(self, parts: Sequence[Part], *, is_last: bool = False, quorum: int = 0) -> None:
        """Ask them; return when all are over, the time of this stage is, or a quorum is out of reach."""
        self.parts += parts
        until = self._until(is_last=is_last)
        pending = {self._start(part, self.bill) for part in parts}
        while pending:
            left_s = until - self._loop.time()
            lost = sum(1 for part in parts if part.is_over and part.problem)
            if left_s <= 0 or len(parts) - lost < quorum:
                break
            done, pending = await asyncio.wait(
                pending, timeout=min(left_s, KEEP_ALIVE_S), return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                task.result()  # raises what is a fault of ours
            if not done and self._loop.time() < until:
                self._keep_alive()
        for part in parts:
            part.cut(PartCut(OUT_OF_TIME if self._loop.time() >= until else "too many others have failed"))
        if pending:
            await asyncio.wait(pending)

    def close(self) -> None:
        """Whatever is still under way is stopped, as the client or the gateway ended the whole."""
        for part in self.parts:
            if self._exchange.client_left:
                part.leave()
            else:
                part.cut(self._exchange.abort_error or PartCut("it was not needed any more"))
        self.bill.close()

    def _cap(self, left: int) -> int:
        """Tokens for each of the parts that are left."""
        return max(0, self._config.max_tokens - sum(part.charged for part in self.parts)) // left

    def _until(self, *, is_last: bool) -> float:
        """When a stage is over, by the loop's clock."""
        return self._began + self._config.time_s * (1.0 if is_last else _FOR_DRAFTS)
