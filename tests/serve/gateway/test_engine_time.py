"""Shares of an engine's busy time, against an integration over time by hand."""

import random
from fractions import Fraction
from itertools import pairwise

import pytest

from freehold.serve.gateway.ledger import EngineTime


class Clock:
    def __init__(self) -> None:
        self.us = 5_000_000

    def __call__(self) -> float:
        return (self.us + 0.5) / 1_000_000  # in the middle of a microsecond, where no rounding can move it


def test_requests_share_the_time_that_they_overlap() -> None:
    clock = Clock()
    time = EngineTime(clock)
    first = time.begin()
    clock.us += 1000  # alone
    second = time.begin()
    clock.us += 500  # two of them
    assert time.end(first) == 1000 + 250
    clock.us += 300  # alone again
    assert time.end(second) == 250 + 300
    clock.us += 10_000  # idle: nobody's
    third = time.begin()
    clock.us += 7
    assert time.end(third) == 7
    assert time.in_flight == 0


def _schedule(seed: int) -> tuple[list[tuple[int, int]], list[int]]:
    """Begin and end of each request, and the share that the clock under test gave it."""
    chance = random.Random(seed)
    clock = Clock()
    time = EngineTime(clock)
    running: list[tuple[int, int, int]] = []
    spans: dict[int, tuple[int, int]] = {}
    shares: dict[int, int] = {}
    for number in range(400):
        for _ in range(chance.choice((0, 0, 1, 1, 2, 30))):
            if running:
                index, start, began = running.pop(chance.randrange(len(running)))
                spans[index], shares[index] = (began, clock.us), time.end(start)
                clock.us += chance.choice((0, 1, 13, 1000))
        running.append((number, time.begin(), clock.us))
        clock.us += chance.choice((0, 1, 2, 50, 12345))
    for index, start, began in running:
        spans[index], shares[index] = (began, clock.us), time.end(start)
        clock.us += 3
    return [spans[index] for index in sorted(spans)], [shares[index] for index in sorted(shares)]


@pytest.mark.parametrize("seed", range(5))
def test_shares_are_those_of_an_integration_by_hand(seed: int) -> None:
    spans, shares = _schedule(seed)
    moments = sorted({moment for span in spans for moment in span})
    expected = [Fraction(0)] * len(spans)
    busy = 0
    for start, end in pairwise(moments):
        present = [index for index, (began, ended) in enumerate(spans) if began <= start and end <= ended]
        if present:
            busy += end - start
            for index in present:
                expected[index] += Fraction(end - start, len(present))
    assert sum(shares) == busy, "not a microsecond is lost or made"
    assert max(abs(share - exact) for share, exact in zip(shares, expected, strict=True)) < 5, "rounding"
