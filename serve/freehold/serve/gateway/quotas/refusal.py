"""What a client is told whose request does not fit, and when it may come again."""

from collections.abc import Iterable

from freehold.serve.gateway.errors import OverLimit
from freehold.serve.gateway.quotas.allotment import Allotment
from freehold.serve.gateway.quotas.clock import MINUTE_S, WindowClock
from freehold.serve.gateway.quotas.meters import CONCURRENT, MONTH_MONEY, REQUESTS, Amounts, Meter, Window
from freehold.serve.gateway.quotas.rate_headers import duration, rate_headers
from freehold.serve.state.money import MICROS

SOON_S = 1.0
"""When requests in flight may have ended."""

_UNITS = {"requests": "requests per minute", "tokens": "tokens per minute", "concurrent": "requests at once"}
_UNITS |= {"month_tokens": "tokens per month", "month_money": "of money per month"}


def refusal(
    allotments: Iterable[Allotment], short: list[tuple[Allotment, int]], amounts: Amounts, clock: WindowClock
) -> OverLimit:
    """The error for a request that finds too little of these, by the one that takes longest."""
    retry_after_s, allotment = max(
        ((_wait_s(item, amounts, clock), item) for item, _ in short), key=lambda pair: pair[0]
    )
    meter = allotment.meter
    need = amounts[meter.index]
    again = f"Try again in {duration(retry_after_s)}"
    if meter.window is Window.MONTH and retry_after_s > SOON_S:
        again = "Wait for the next month, or ask for a larger budget"
    if meter in (REQUESTS, CONCURRENT):
        why, next_step = "", f"{again}."
    else:
        left = _amount(meter, min(allotment.remaining, max(0, allotment.limit - allotment.spent - allotment.pending)))
        why = f"the request may use {_amount(meter, need)}, and {left} are left"
        next_step = f"{again}, or lower max_tokens."
    return _over_limit(
        f"The key's limit of {_amount(meter, allotment.limit)} {_UNITS[meter.name]} is reached",
        why,
        next_step,
        meter,
        retry_after_s,
        rate_headers(allotments, clock),
    )


def refusal_for_ever(
    allotments: Iterable[Allotment], allotment: Allotment, amounts: Amounts, clock: WindowClock
) -> OverLimit:
    """The error for a request that is larger than a limit, so that no waiting helps."""
    meter = allotment.meter
    limit = f"{_amount(meter, allotment.limit)} {_UNITS[meter.name]}"
    headers = {**rate_headers(allotments, clock), "x-should-retry": "false"}
    if meter in (REQUESTS, CONCURRENT):  # a limit of 0
        what, why, next_step = f"The key's limit is {limit}", "", "Ask for a higher limit."
    else:
        what = f"The request is larger than the key's limit of {limit}"
        why = f"it may use {_amount(meter, amounts[meter.index])}: its prompt and max_tokens"
        next_step = "Lower max_tokens, or shorten the prompt."
    return _over_limit(what, why, next_step, meter, _window_s(allotment, clock), headers)


def _over_limit(
    what: str, why: str, next_step: str, meter: Meter, retry_after_s: float, headers: dict[str, str]
) -> OverLimit:
    return OverLimit(
        what,
        why=why,
        next_step=next_step,
        code="insufficient_quota" if meter.window is Window.MONTH else "rate_limit_exceeded",
        retry_after_s=retry_after_s,
        headers=headers,
        kind="requests" if meter in (REQUESTS, CONCURRENT) else "tokens",
    )


def _wait_s(allotment: Allotment, amounts: Amounts, clock: WindowClock) -> float:
    """Until when there may be enough."""
    if allotment.meter.window is Window.MONTH:
        used = allotment.spent + allotment.pending
        if used + amounts[allotment.index] <= allotment.limit:  # the rest is reserved by requests in flight
            return SOON_S
    return _window_s(allotment, clock)


def _window_s(allotment: Allotment, clock: WindowClock) -> float:
    match allotment.meter.window:
        case Window.MINUTE:
            return max(SOON_S, allotment.name.window_start + MINUTE_S - clock.now())
        case Window.MONTH:
            return max(SOON_S, clock.month_end() - clock.now())
        case Window.NONE:
            return SOON_S


def _amount(meter: Meter, amount: int) -> str:
    return f"{amount / MICROS:.2f}" if meter is MONTH_MONEY else str(amount)
