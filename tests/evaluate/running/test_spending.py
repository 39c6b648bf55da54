"""The budget while a run goes on."""

import asyncio
import random

import pytest

from freehold.evaluate.running.spending import BudgetSpent, Spending
from freehold.evaluate.suite.suite import Budget
from freehold.evaluate.targets.amounts import Amount


async def test_a_reservation_waits_for_those_on_their_way() -> None:
    spending = Spending(Budget(tokens=100), Amount(20))
    await spending.reserve(Amount(60))
    waiting = asyncio.create_task(spending.reserve(Amount(60)))
    await asyncio.sleep(0)
    assert not waiting.done(), "it may fit, once the first has used less than it might"
    await spending.settle(Amount(60), Amount(5))
    await waiting
    assert spending.spent == Amount(25)


async def test_what_cannot_fit_ends_it_for_all() -> None:
    spending = Spending(Budget(tokens=100), Amount())
    await spending.reserve(Amount(60))
    waiting = asyncio.create_task(spending.reserve(Amount(60)))
    await asyncio.sleep(0)
    await spending.settle(Amount(60), Amount(60))
    with pytest.raises(BudgetSpent):
        await waiting
    with pytest.raises(BudgetSpent):
        await spending.reserve(Amount(1))
    assert spending.is_exhausted


async def test_money_is_a_cap_of_its_own() -> None:
    spending = Spending(Budget(money=0.3), Amount())
    for _ in range(3):
        await spending.reserve(Amount(10**9, 0.1))
    with pytest.raises(BudgetSpent):
        await asyncio.wait_for(spending.reserve(Amount(0, 0.31)), 60)


@pytest.mark.parametrize("seed", range(20))
async def test_the_cap_holds_whatever_the_order(seed: int) -> None:
    dice = random.Random(seed)
    spending = Spending(Budget(tokens=1000), Amount())

    async def ask() -> None:
        may_use = Amount(dice.randint(1, 120))
        await spending.reserve(may_use)
        await asyncio.sleep(0)
        await spending.settle(may_use, Amount(dice.randint(0, may_use.tokens)))

    results = await asyncio.wait_for(asyncio.gather(*(ask() for _ in range(100)), return_exceptions=True), 30)
    assert {type(result) for result in results} <= {type(None), BudgetSpent}
    assert 800 < spending.spent.tokens <= 1000


async def test_a_share_is_whole_or_empty_and_its_rest_goes_back() -> None:
    spending = Spending(Budget(tokens=100), Amount())
    async with await spending.share(Amount(80)) as share:
        await share.reserve(Amount(40))
        await share.settle(Amount(40), Amount(10))
    assert spending.spent == Amount(10)
    async with await spending.share(Amount(90)) as share:
        await share.reserve(Amount(90))
        await share.settle(Amount(90), Amount(90))
    async with await spending.share(Amount(1)) as share:
        with pytest.raises(BudgetSpent):
            await share.reserve(Amount(1))


async def test_what_is_tried_again_does_not_wait_for_those_that_wait_for_it() -> None:
    spending = Spending(Budget(tokens=100), Amount())
    first, _other = await spending.share(Amount(40)), await spending.share(Amount(40))
    await first.reserve(Amount(40))
    await first.settle(Amount(40), Amount(40))
    with pytest.raises(BudgetSpent):
        await asyncio.wait_for(first.reserve(Amount(40)), 60)
