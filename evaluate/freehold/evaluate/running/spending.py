"""The budget while a run goes on: reserved before a request, settled after."""

import asyncio

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

    async def settle(self, reserved: Amount, used: Amount) -> None:
        """Give back what was reserved, and count what was used."""
        async with self._changed:
            self._reserved -= reserved
            self.spent += used
            self._changed.notify_all()


def fits(amount: Amount, budget: Budget) -> bool:
    """Whether it is within every cap."""
    return (budget.tokens is None or amount.tokens <= budget.tokens) and (
        budget.money is None or amount.money <= budget.money * (1 + 1e-9)
    )
