"""The budget while a run goes on: reserved before a request, settled after."""

import asyncio
from types import TracebackType

from freehold.evaluate.suite.suite import Budget
from freehold.evaluate.targets.amounts import Amount


class BudgetSpent(Exception):
    """A request does not fit in what is left. Nothing more is asked in this run, so that no small ones slip through."""


class Spending:
    """What a run has spent, and may."""

    def __init__(self, budget: Budget, spent: Amount) -> None:
        self._budget = budget
        self._reserved = Amount()
        self._changed = asyncio.Condition()
        self.spent = spent
        self.is_exhausted = False

    async def reserve(self, amount: Amount) -> None:
        """Set aside what a request may use. Waits while that depends on what those on the way use.

        Raises BudgetSpent.
        """
        async with self._changed:
            while True:
                if not fits(self.spent + amount, self._budget):
                    self.is_exhausted = True
                    self._changed.notify_all()
                if self.is_exhausted:
                    raise BudgetSpent
                if fits(self.spent + self._reserved + amount, self._budget):
                    self._reserved += amount
                    return
                await self._changed.wait()

    async def share(self, amount: Amount) -> "Share":
        """Set aside at once what requests that belong together may use. Where that is not left, an empty share."""
        try:
            await self.reserve(amount)
        except BudgetSpent:
            amount = Amount()
        return Share(self, amount)

    async def more(self, amount: Amount) -> None:
        """Reserve at once or not at all: for who holds what others wait for. Raises BudgetSpent."""
        async with self._changed:
            if self.is_exhausted or not fits(self.spent + self._reserved + amount, self._budget):
                self.is_exhausted = True
                self._changed.notify_all()
                raise BudgetSpent
            self._reserved += amount

    async def settle(self, reserved: Amount, used: Amount) -> None:
        """Give back what was reserved, and count what was used."""
        async with self._changed:
            self._reserved -= reserved
            self.spent += used
            self._changed.notify_all()


class Share:
    """Part of the budget, set aside for requests that are worth something only together.

    A context: what is left of it at the end goes back.
    """

    def __init__(self, spending: Spending, amount: Amount) -> None:
        self._spending = spending
        self._left = amount

    async def reserve(self, amount: Amount) -> None:
        """From the share, while it lasts; what is tried again takes more of the budget. Raises BudgetSpent."""
        if amount.tokens <= self._left.tokens and amount.money <= self._left.money + 1e-12:
            self._left -= amount
        else:
            await self._spending.more(amount)

    async def settle(self, reserved: Amount, used: Amount) -> None:
        """As `Spending.settle`."""
        await self._spending.settle(reserved, used)

    async def __aenter__(self) -> "Share":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        left, self._left = self._left, Amount()
        await self._spending.settle(left, Amount())


def fits(amount: Amount, budget: Budget) -> bool:
    """Whether it is within every cap."""
    return (budget.tokens is None or amount.tokens <= budget.tokens) and (
        budget.money is None or amount.money <= budget.money * (1 + 1e-9)
    )
