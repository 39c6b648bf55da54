"""What is limited: five meters, each with its window."""

from dataclasses import dataclass
from enum import Enum

from freehold.serve.gateway.principal import Limits
from freehold.serve.gateway.quotas.clock import WindowClock
from freehold.serve.state import quotas


class Window(Enum):
    """After what time a limit starts anew."""

    NONE = "at once"
    MINUTE = "per minute"
    MONTH = "per month"


@dataclass(frozen=True, slots=True)
class Meter:
    """One kind of limit."""

    index: int
    """Its place among a request's amounts."""
    name: str
    field: str
    """Of `Limits`."""
    window: Window


Amounts = tuple[int, int, int, int, int]
"""Of one request, by the meters' indexes."""

REQUESTS = Meter(0, quotas.REQUESTS, "requests_per_minute", Window.MINUTE)
TOKENS = Meter(1, quotas.TOKENS, "tokens_per_minute", Window.MINUTE)
CONCURRENT = Meter(2, quotas.CONCURRENT, "concurrent_requests", Window.NONE)
MONTH_TOKENS = Meter(3, quotas.MONTH_TOKENS, "monthly_tokens", Window.MONTH)
MONTH_MONEY = Meter(4, quotas.MONTH_MONEY, "monthly_money", Window.MONTH)
METERS = (REQUESTS, TOKENS, CONCURRENT, MONTH_TOKENS, MONTH_MONEY)


def reserved(tokens: int, money: int) -> Amounts:
    """What a request takes at its start."""
    return (1, tokens, 1, tokens, money)


def used(tokens: int, money: int) -> Amounts:
    """What a request has cost at its end; its slot is free again."""
    return (1, tokens, 0, tokens, money)


def limits_of(limits: Limits) -> list[tuple[Meter, int]]:
    """The meters that are limited."""
    return [(meter, limit) for meter in METERS if (limit := getattr(limits, meter.field)) is not None]


def window_start(meter: Meter, clock: WindowClock) -> int:
    """Start of the meter's current window; 0 if it has none."""
    match meter.window:
        case Window.MINUTE:
            return clock.minute()
        case Window.MONTH:
            return clock.month()
        case Window.NONE:
            return 0
