"""Money in millionths ("micros") of the gateway's currency: integers, so that sums are exact."""

from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple

MICROS = 1_000_000
TOKENS = 1_000_000
"""List prices are per so many tokens."""


def micros(amount: float) -> int:
    """An amount as it is written in the config, in micros, halves rounded up: 0.15 is 150,000."""
    return int((Decimal(repr(amount)) * MICROS).to_integral_value(ROUND_HALF_UP))


def half_up(numerator: int, denominator: int) -> int:
    """The quotient rounded to the nearest integer, halves up; neither may be negative."""
    return (2 * numerator + denominator) // (2 * denominator)


class TokenRates(NamedTuple):
    """A list price in micros per million tokens."""

    input: int
    output: int

    def price(self, prompt_tokens: int, completion_tokens: int) -> int:
        """What so many tokens cost in micros, rounded once, at the end."""
        return half_up(prompt_tokens * self.input + completion_tokens * self.output, TOKENS)
