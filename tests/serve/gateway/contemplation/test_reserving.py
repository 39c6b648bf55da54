"""What is reserved for a contemplation, and when it is charged."""

from typing import Any

import pytest
from fixtures.stub_engine import StubEngine

from freehold.serve.config import Contemplate
from freehold.serve.gateway.contemplation.bill import Bill
from freehold.serve.gateway.contemplation.council import make_council
from freehold.serve.gateway.contemplation.prompts import instruction_bytes


async def _silent(call: Any) -> None: ...


ENGINES = {name: StubEngine(name, _silent) for name in ("tiny", "judge")}


def _needs(answer: int | None, **config: Any) -> tuple[int, int]:
    """Prompt and completion of all parts, for a prompt of 100 tokens."""
    contemplate = Contemplate.model_validate({"agents": {"tiny": 3}, "maxTokens": 700, **config})
    needs = list(make_council(contemplate, ENGINES).needs(100, answer))
    assert len(needs) == contemplate.parts
    return sum(need.prompt for need in needs), sum(need.completion for need in needs)


def test_a_majority_reads_the_prompt_once_per_draft() -> None:
    assert _needs(None, mode="majority") == (300, 702), "a share is rounded up"
    assert _needs(50, mode="majority") == (300, 150)


@pytest.mark.parametrize("answer", [None, 10])
def test_a_debate_may_write_all_that_it_has_and_reads_what_was_written(answer: int | None) -> None:
    drafted = 700 if answer is None else 30
    prompt, completion = _needs(answer, judge="judge")
    assert completion == 700
    assert prompt == 7 * 100 + 4 * instruction_bytes(7) + 3 * drafted + 700


def test_without_critique_the_judge_reads_drafts_alone() -> None:
    assert _needs(10, judge="judge", rounds=0) == (400 + instruction_bytes(4) + 30, 40)


class Reservation:
    """Notes what it is settled with."""

    def __init__(self) -> None:
        self.settled: list[tuple[int, int]] = []

    def settle(self, tokens: int, money: int) -> None:
        self.settled.append((tokens, money))


async def test_the_sum_is_charged_once_with_the_last_part() -> None:
    reservation: Any = Reservation()
    bill = Bill(reservation)
    bill.begin()
    bill.begin()
    bill.end(10, 2, 5)
    bill.close()
    assert reservation.settled == [], "one part has not told yet"
    assert not await bill.wait(0.01)
    bill.end(20, 3, 7)
    assert await bill.wait(0.01)
    assert reservation.settled == [(35, 12)]


async def test_what_was_never_asked_costs_nothing() -> None:
    reservation: Any = Reservation()
    Bill(reservation).close()
    assert reservation.settled == [(0, 0)]


async def test_nothing_is_charged_between_two_stages() -> None:
    """Each stage ends with no part under way, and another may follow."""
    reservation: Any = Reservation()
    bill = Bill(reservation)
    bill.begin()
    bill.end(10, 2, 5)
    assert reservation.settled == []
