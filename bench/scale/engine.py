"""A simulated engine: continuous batching as a fluid, between events at constant speed.

While prompts wait, each step reads a chunk of them and writes a token for every running sequence; else it only writes.
All running sequences write at the same speed, so one clock of written tokens serves them all.
"""

import heapq
from collections import OrderedDict, deque

from bench.scale.cache import PrefixCache
from bench.scale.curves import Curve
from bench.scale.users import Request

NO_ADAPTER = 0


class Adapters:
    """The slots that hold adapters in the GPU's memory (vLLM's `max_loras`)."""

    def __init__(self, slots: int) -> None:
        self.swaps = 0
        self._slots = slots
        self._users: OrderedDict[int, int] = OrderedDict()

    def take(self, adapter: int) -> bool | None:
        """Whether it had to be brought in; None while every slot is in use by others."""
        if adapter == NO_ADAPTER:
            return False
        users = self._users
        is_there = adapter in users
        if not is_there and len(users) >= self._slots:
            idle = next((key for key, count in users.items() if not count), None)
            if idle is None:
                return None
            del users[idle]
        users[adapter] = users.get(adapter, 0) + 1
        users.move_to_end(adapter)
        self.swaps += not is_there
        return not is_there

    def leave(self, adapter: int) -> None:
        if adapter != NO_ADAPTER:
            self._users[adapter] -= 1


class SimulatedEngine:
    """`arrive` and `advance` return nothing; `next_s` says when something happens by itself."""

    def __init__(self, curve: Curve, adapter_slots: int, swap_s: float) -> None:
        self.cache = PrefixCache(curve.block_tokens)
        self.adapters = Adapters(adapter_slots)
        self.waiting: deque[Request] = deque()
        self.running: list[tuple[float, int, Request]] = []
        self.used_tokens = 0
        """Of the cache, by what runs."""
        self._curve = curve
        self._steps = [0.0, *(curve.step(count) for count in range(1, curve.most_sequences + 1))]
        self._reading: deque[Request] = deque()
        self._unread = 0.0
        self._swap_tokens = swap_s * curve.prefill_tokens_per_s
        self._now = 0.0
        self._written = 0.0
        self._read_speed = self._write_speed = 0.0

    @property
    def count(self) -> int:
        """Requests that it has."""
        return len(self.waiting) + len(self._reading) + len(self.running)

    @property
    def queued(self) -> int:
        """Those of which nothing is read yet (vLLM's `num_requests_waiting`)."""
        return len(self.waiting) + max(0, len(self._reading) - 1)

    @property
    def kv_use(self) -> float:
        return self.used_tokens / self._curve.cache_tokens

    def arrive(self, request: Request) -> None:
        """To be called after `advance` to the same moment."""
        self.waiting.append(request)
        self._admit()
        self._set_speeds()

    def advance(self, now: float) -> list[Request]:
        """What has ended since the last call."""
        passed, self._now = now - self._now, now
        self._written += self._write_speed * passed
        if self._reading:
            read = self._read_speed * passed
            self._reading[0].unread -= read
            self._unread -= read
            while self._reading and self._reading[0].unread <= 1e-6:
                request = self._reading.popleft()
                self._unread -= request.unread
                request.first_s = now
                heapq.heappush(self.running, (self._written + request.answer_tokens, request.number, request))
        ended: list[Request] = []
        while self.running and self.running[0][0] <= self._written + 1e-6:
            ended.append(heapq.heappop(self.running)[2])
        for request in ended:
            self._leave(request)
        if ended:
            self._admit()
        self._set_speeds()
        return ended

    def next_s(self) -> float | None:
        """When the next prompt is read or the next answer is whole, if nothing comes in between."""
        soonest = float("inf")
        if self._reading:
            soonest = self._reading[0].unread / self._read_speed
        if self.running:
            soonest = min(soonest, (self.running[0][0] - self._written) / self._write_speed)
        return None if soonest == float("inf") else self._now + max(soonest, 1e-9)

    def _admit(self) -> None:
        while self.waiting and len(self._reading) + len(self.running) < self._curve.most_sequences:
            request = self.waiting[0]
            needed = request.own_tokens + request.answer_tokens
            is_full = self.used_tokens + needed + request.app_tokens > self._curve.cache_tokens
            if is_full and (self.running or self._reading):
                return
            swaps = self.adapters.take(request.adapter)
            if swaps is None:
                return
            self.waiting.popleft()
            found = self.cache.begin(request.app, request.app_tokens, request.session.key, request.history_tokens)
            request.found_tokens = min(found, request.prompt_tokens - 1)
            request.unread = request.prompt_tokens - request.found_tokens + swaps * self._swap_tokens
            self._unread += request.unread
            self._reading.append(request)
            self.used_tokens += needed
            self.cache.shrink(self._curve.cache_tokens - self.used_tokens)

    def _leave(self, request: Request) -> None:
        own = request.own_tokens + request.answer_tokens
        self.used_tokens -= own
        self.adapters.leave(request.adapter)
        self.cache.end(request.app, request.app_tokens, request.session.key, own)
        self.cache.shrink(self._curve.cache_tokens - self.used_tokens)

    def _set_speeds(self) -> None:
        step = self._steps[len(self.running)]
        if self._reading:
            chunk = min(float(self._curve.chunk_tokens), max(self._unread, 1.0))
            step += chunk / self._curve.prefill_tokens_per_s
            self._read_speed = chunk / step
        self._write_speed = 1 / step if step else 0.0
