"""OpenAI's headers on limits per minute: https://platform.openai.com/docs/guides/rate-limits"""

import math
from collections.abc import Iterable

from freehold.serve.gateway.quotas.allotment import Allotment
from freehold.serve.gateway.quotas.clock import MINUTE_S, WindowClock
from freehold.serve.gateway.quotas.meters import METERS, Window


def duration(seconds: float) -> str:
    """Whole seconds as OpenAI writes them: `12s`, `1m3s`, `2h0m5s`."""
    minutes, rest = divmod(max(0, math.ceil(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def raw_headers(allotments: Iterable[Allotment], clock: WindowClock) -> list[tuple[bytes, bytes]]:
    """Limit, what remains of it, and when it starts anew, as ASGI wants them. Every answer has them: it is cheap."""
    headers: list[tuple[bytes, bytes]] = []
    now = clock.now()
    for allotment in allotments:
        names = _NAMES.get(allotment.index)
        if names is not None:
            left_s = allotment.name.window_start + MINUTE_S - now
            headers.append((names[0], b"%d" % allotment.limit))
            headers.append((names[1], b"%d" % allotment.remaining))
            headers.append((names[2], _RESETS[min(max(0, math.ceil(left_s)), MINUTE_S)]))
    return headers


def rate_headers(allotments: Iterable[Allotment], clock: WindowClock) -> dict[str, str]:
    """The same as text."""
    return {name.decode(): value.decode() for name, value in raw_headers(allotments, clock)}


_RESETS = [duration(seconds).encode() for seconds in range(MINUTE_S + 1)]
_NAMES = {
    meter.index: tuple(f"x-ratelimit-{part}-{meter.name}".encode() for part in ("limit", "remaining", "reset"))
    for meter in METERS
    if meter.window is Window.MINUTE
}
