"""How much of an engine's busy time each request is accountable for."""

from collections.abc import Callable
from time import perf_counter


class EngineTime:
    """Shares the time in which an engine has work equally among the requests that it works on, moment by moment.

    A virtual clock runs at 1/n of the real one while n requests are in flight, and stands while there are none; a
    request's share is what that clock has run between its beginning and its end. `begin` and `end` are O(1), and the
    shares of all requests add up to the busy time exactly: what does not divide by n is carried over, and the last
    request to leave takes it. That moves a few microseconds between neighbours.

    Several gateway replicas in front of one engine each see their own requests only. Each of them accounts for all the
    time in which it has a request there, so together they count up to as many times the busy time as there are
    replicas (once where their requests never overlap). A report by `model,hour` shows it: more than 3600 engine seconds
    in an hour cannot be, so money by engine time is an upper bound there.
    """

    __slots__ = ("_carry_us", "_clock", "_now_us", "_virtual_us", "in_flight")

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._now_us = 0
        self._virtual_us = 0
        self._carry_us = 0
        self.in_flight = 0
        """Requests at the engine now."""

    def begin(self) -> int:
        """A request goes to the engine; `end` wants the number back."""
        self._advance()
        self.in_flight += 1
        return self._virtual_us

    def end(self, start: int) -> int:
        """The request is over, well or not; its share in microseconds. To be called once for each `begin`."""
        self._advance()
        self.in_flight -= 1
        return self._virtual_us - start

    def _advance(self) -> None:
        now_us = int(self._clock() * 1_000_000)
        if self.in_flight:
            run, self._carry_us = divmod(now_us - self._now_us + self._carry_us, self.in_flight)
            self._virtual_us += run
        self._now_us = now_us
