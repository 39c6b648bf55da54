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


def header_lines(allotments: Iterable[Allotment], clock: WindowClock) -> bytes:
    """Limit, what remains of it, and when it starts anew, as lines of a head. Every answer has them: it is cheap."""
    lines = b""
    now = clock.now()
    for allotment in allotments:
        form = _FORMS.get(allotment.index)
        if form is not None:
            left_s = math.ceil(allotment.name.window_start + MINUTE_S - now)
            resets = _RESETS[min(max(0, left_s), MINUTE_S)]
            lines += form % (allotment.limit, max(0, allotment.free + allotment.left), resets)
    return lines


def rate_headers(allotments: Iterable[Allotment], clock: WindowClock) -> dict[str, str]:
    """The same by name."""
    lines = header_lines(allotments, clock).decode().splitlines()
    return dict(line.split(": ", 1) for line in lines)


_RESETS = [duration(seconds).encode() for seconds in range(MINUTE_S + 1)]
_FORMS = {
    meter.index: b"".join(
        f"x-ratelimit-{part}-{meter.name}: {value}\r\n".encode()
        for part, value in (("limit", "%d"), ("remaining", "%d"), ("reset", "%b"))
    )
    for meter in METERS
    if meter.window is Window.MINUTE
}
