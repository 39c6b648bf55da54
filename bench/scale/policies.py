"""Which engine a gateway sends a request to. Each gateway knows only what it has sent itself and what is under way.

A policy is a class in `POLICIES`. `choose` gets the request and returns the engine's number.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable

from bench.scale.users import Request
from freehold.serve.engines.ring import Ring

MIX = 0x9E3779B97F4A7C15
MASK = (1 << 64) - 1


def _mixed(number: int) -> int:
    """Spread over 32 bits."""
    return ((number + 1) * MIX & MASK) >> 29 & 0xFFFFFFFF


class Load:
    """What one gateway has under way: in requests and in tokens, by engine."""

    def __init__(self, engines: Iterable[int]) -> None:
        self.requests: dict[int, int] = dict.fromkeys(engines, 0)
        self.tokens: dict[int, float] = dict.fromkeys(self.requests, 0.0)
        self.all_tokens = 0.0
        self.ring = Ring([str(engine) for engine in self.requests])

    def begin(self, request: Request) -> None:
        self.requests[request.engine] += 1
        self.tokens[request.engine] += request.weight
        self.all_tokens += request.weight

    def end(self, request: Request) -> None:
        if request.engine in self.requests:
            self.requests[request.engine] -= 1
            self.tokens[request.engine] -= request.weight
            self.all_tokens -= request.weight

    def change(self, engines: Iterable[int]) -> None:
        """These are there from now on."""
        now = list(engines)
        self.requests = {engine: self.requests.get(engine, 0) for engine in now}
        self.tokens = {engine: self.tokens.get(engine, 0.0) for engine in now}
        self.all_tokens = sum(self.tokens.values())
        self.ring = Ring([str(engine) for engine in now])


class Policy:
    """One gateway's way to choose. The first line of its docstring is what the table calls it."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self._turn = 0

    def choose(self, request: Request) -> int:
        raise NotImplementedError

    def least(self, values: dict[int, float] | dict[int, int]) -> int:
        """The engine with the smallest value, equals in turn."""
        self._turn += 1
        smallest = min(values.values())
        equal = [engine for engine, value in values.items() if value == smallest]
        return equal[self._turn % len(equal)]


class RoundRobin(Policy):
    """round robin"""

    def choose(self, request: Request) -> int:
        self._turn += 1
        engines = list(self.load.requests)
        return engines[self._turn % len(engines)]


class LeastRequests(Policy):
    """least requests"""

    def choose(self, request: Request) -> int:
        return self.least(self.load.requests)


class LeastTokens(Policy):
    """least tokens in flight"""

    def choose(self, request: Request) -> int:
        return self.least(self.load.tokens)


class Bounded(Policy):
    """consistent hashing with bounded load"""

    most = 1.25
    """Of the mean of tokens in flight."""
    slack = 1.0

    def key(self, request: Request) -> int:
        raise NotImplementedError

    def choose(self, request: Request) -> int:
        limit = self.limit(request)
        tokens = self.load.tokens
        for name in self.load.ring.walk(self.key(request)):
            if tokens[int(name)] + request.weight <= limit:
                return int(name)
        return self.least(tokens)

    def limit(self, request: Request) -> float:
        mean = (self.load.all_tokens + request.weight) / len(self.load.tokens)
        return self.most * mean + self.slack * request.weight


class SessionBounded(Bounded):
    """session, bounded"""

    def key(self, request: Request) -> int:
        return _mixed(request.session.key)


class SessionUnbounded(SessionBounded):
    """session, unbounded"""

    most = float("inf")


class AppBounded(Bounded):
    """system prompt, bounded"""

    def key(self, request: Request) -> int:
        return _mixed(request.app)


class AppUnbounded(AppBounded):
    """system prompt, unbounded"""

    most = float("inf")


class AdapterBounded(Bounded):
    """adapter, bounded"""

    def key(self, request: Request) -> int:
        return _mixed(request.adapter)


class Windows(Bounded):
    """prefix in windows, bounded"""

    def choose(self, request: Request) -> int:
        return self.windowed(request, self.limit(request))

    def windowed(self, request: Request, limit: float) -> int:
        """The session's own place among the first 1, 2, 4, … of the app's places that has room."""
        tokens, weight = self.load.tokens, request.weight
        walk = self.load.ring.walk(_mixed(request.app))
        mine = _mixed(request.session.key)
        places: list[int] = []
        size = 1
        while len(places) < len(tokens):
            for name in walk:
                places.append(int(name))
                if len(places) >= size:
                    break
            place = places[mine % len(places)]
            if tokens[place] + weight <= limit:
                return place
            size *= 2
        return self.least(tokens)


class StickyWindows(Windows):
    """prefix in windows, remembered"""

    remembered = 100_000

    def __init__(self, load: Load) -> None:
        super().__init__(load)
        self._last: OrderedDict[int, int] = OrderedDict()

    def choose(self, request: Request) -> int:
        limit = self.limit(request)
        last = self._last.pop(request.session.key, None)
        tokens = self.load.tokens
        if last is None or last not in tokens or tokens[last] + request.weight > limit:
            last = self.windowed(request, limit)
        self._last[request.session.key] = last
        if len(self._last) > self.remembered:
            self._last.popitem(last=False)
        return last


class Remembered(Policy):
    """remembered prefixes"""

    # As routers with a tree of past prompts do: the engine that was sent most of the prompt, unless loads are too
    # unequal (by more than 64 requests and half as many again), and then the least busy.
    remembered = 100_000

    def __init__(self, load: Load) -> None:
        super().__init__(load)
        self._last: OrderedDict[int, int] = OrderedDict()

    def choose(self, request: Request) -> int:
        requests = self.load.requests
        most, fewest = max(requests.values()), min(requests.values())
        chosen = None
        if not (most - fewest > 64 and most > 1.5 * fewest):
            chosen = self._last.get(request.session.key, self._last.get(request.app))
        if chosen is None or chosen not in requests:
            chosen = self.least(requests)
        for key in (request.app, request.session.key):
            self._last.pop(key, None)
            self._last[key] = chosen
        while len(self._last) > self.remembered:
            self._last.popitem(last=False)
        return chosen


MakePolicy = Callable[[Load], Policy]
POLICIES: dict[str, MakePolicy] = {
    str(each.__doc__): each
    for each in (
        RoundRobin, LeastRequests, LeastTokens, SessionUnbounded, AppUnbounded, SessionBounded, AppBounded,
        AdapterBounded, Windows, StickyWindows, Remembered,
    )
}  # fmt: skip
