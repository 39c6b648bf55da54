"""One simulated run: users, gateways, engines, and an event heap."""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from bench.scale.curves import Curve
from bench.scale.engine import SimulatedEngine
from bench.scale.policies import Load, MakePolicy, Policy
from bench.scale.users import Habits, Request, Session, Users

SESSION, TURN, ENGINE, SAMPLE = range(4)
SAMPLE_S = 5.0
ANSWER_TOKENS = 256
"""What a gateway takes an answer to be, before there is one."""


@dataclass(frozen=True)
class Scene:
    """What is simulated."""

    curve: Curve
    habits: Habits
    engines: int
    users: float
    gateways: int = 1
    seconds: float = 300.0
    warm_up_s: float = 120.0
    """What begins before does not count."""
    adapter_slots: int = 8
    swap_s: float = 0.05


@dataclass
class Seen:
    """What came of it."""

    first_s: list[float] = field(default_factory=list)
    """Time to first token of each request."""
    answer_tokens: int = 0
    prompt_tokens: int = 0
    found_tokens: int = 0
    imbalances: list[float] = field(default_factory=list)
    """Most requests of an engine over the mean, moment by moment."""
    swaps: int = 0
    requests: int = 0
    busy: float = 0.0
    """Share of time in which engines worked."""
    unanswered: int = 0


class Cluster:
    """Call `run` once."""

    def __init__(self, scene: Scene, policy: MakePolicy, seed: int) -> None:
        self.scene = scene
        self.seen = Seen()
        self.now = 0.0
        self._users = Users(scene.habits, scene.users, seed)
        self._random = random.Random(seed)
        self._engines = [
            SimulatedEngine(scene.curve, scene.adapter_slots, scene.swap_s) for _ in range(scene.engines)
        ]
        self._epochs = [0] * scene.engines
        self._gateways: list[Policy] = [policy(Load(range(scene.engines))) for _ in range(scene.gateways)]
        self._events: list[tuple[float, int, int, object]] = []
        self._order = count()
        self._numbers = count()

    def run(self) -> Seen:
        scene, events = self.scene, self._events
        self._put(0.0, SESSION, None)
        self._put(scene.warm_up_s, SAMPLE, None)
        swaps_before = 0
        while events and events[0][0] < scene.seconds:
            self.now, _, kind, what = heapq.heappop(events)
            if kind == ENGINE:
                self._work(what)
            elif kind == TURN:
                self._send(what)
            elif kind == SESSION:
                self._put(self.now + self._users.gap_s(self._users.rate), SESSION, None)
                self._send(self._users.session())
            else:
                self._sample()
        seen = self.seen
        seen.swaps = sum(engine.adapters.swaps for engine in self._engines)
        seen.busy = sum(engine.busy_s for engine in self._engines) / (self.now * len(self._engines))
        seen.unanswered = sum(engine.count for engine in self._engines)
        return seen

    def _put(self, at: float, kind: int, what: object) -> None:
        heapq.heappush(self._events, (at, next(self._order), kind, what))

    def _send(self, session: Session) -> None:
        request = Request(next(self._numbers), session, self.now)
        request.gateway = self._random.randrange(len(self._gateways)) if len(self._gateways) > 1 else 0
        gateway = self._gateways[request.gateway]
        request.weight = request.prompt_tokens + ANSWER_TOKENS
        request.engine = gateway.choose(request)
        gateway.load.begin(request)
        engine = self._engines[request.engine]
        self._end(engine.advance(self.now))
        engine.arrive(request, self.now)
        self._schedule(request.engine)

    def _work(self, what) -> None:
        number, epoch = what
        if epoch == self._epochs[number]:
            self._end(self._engines[number].advance(self.now))
            self._schedule(number)

    def _schedule(self, number: int) -> None:
        self._epochs[number] += 1
        at = self._engines[number].next_s()
        if at is not None:
            self._put(at, ENGINE, (number, self._epochs[number]))

    def _end(self, requests: list[Request]) -> None:
        for request in requests:
            self._gateways[request.gateway].load.end(request)
            if request.since_s >= self.scene.warm_up_s:
                self._count(request)
            session = request.session
            if session.turns:
                self._put(self.now + session.turns[-1][2], TURN, session)

    def _count(self, request: Request) -> None:
        seen = self.seen
        seen.requests += 1
        seen.first_s.append(request.first_s - request.since_s)
        seen.prompt_tokens += request.prompt_tokens
        seen.found_tokens += request.found_tokens
        seen.answer_tokens += request.answer_tokens

    def _sample(self) -> None:
        counts = [engine.count for engine in self._engines]
        mean = sum(counts) / len(counts)
        if mean:
            self.seen.imbalances.append(max(counts) / mean)
        self._put(self.now + SAMPLE_S, SAMPLE, None)
