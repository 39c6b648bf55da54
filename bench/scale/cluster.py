"""One simulated run: users, gateways, engines, and a heap of events."""

import heapq
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count
from typing import Any

from bench.scale.curves import Curve
from bench.scale.engine import SimulatedEngine
from bench.scale.policies import MakePolicy
from bench.scale.seen import Seen
from bench.scale.users import Habits, Request, Session, Users
from freehold.serve.engines.policies import Policy, Wish

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
    """A request comes to any of them: nothing binds a user to one."""
    seconds: float = 300.0
    warm_up_s: float = 120.0
    """Requests that are sent before do not count."""
    adapter_slots: int = 8
    """Of each engine (vLLM's `max_loras`)."""
    swap_s: float = 0.05
    """For which an engine reads no prompt while it brings an adapter in. An assumption."""


@dataclass(slots=True)
class SimulatedPlace:
    """An engine, as one gateway sees it."""

    number: int
    in_flight: int = 0
    tokens: int = 0


class SimulatedGateway:
    """It knows what it has sent itself, and what is under way of that."""

    def __init__(self, policy: Policy, engines: Iterable[int]) -> None:
        self.policy = policy
        self.places: dict[str, SimulatedPlace] = {}
        self.change(engines)

    def change(self, engines: Iterable[int]) -> None:
        """These are there from now on."""
        now = {str(number): number for number in engines}
        self.places = {name: self.places.get(name) or SimulatedPlace(number) for name, number in now.items()}
        self.policy.change(now)

    def send(self, request: Request) -> int:
        """The engine's number."""
        place = self.policy.choose(self.places, request.wish, _always)
        assert place is not None, "there is an engine"
        request.place = place
        self.policy.begin(place, request.wish)
        return place.number


def _always(_: SimulatedPlace) -> bool:
    return True


class Cluster:
    """Call `run` once. What is to happen is in the heap: a moment, and a method with what it is called with."""

    def __init__(self, scene: Scene, policy: MakePolicy, seed: int) -> None:
        self.scene = scene
        self.seen = Seen()
        self.now = 0.0
        self.engines = {number: self.new_engine() for number in range(scene.engines)}
        self.gateways = [SimulatedGateway(policy(), self.engines) for _ in range(scene.gateways)]
        self._users = Users(scene.habits, scene.users, seed)
        self._random = random.Random(seed)
        self._epochs: dict[int, int] = {}
        self._events: list[tuple[float, int, Callable[[Any], None], Any]] = []
        self._order = count()
        self._numbers = count()

    def new_engine(self) -> SimulatedEngine:
        return SimulatedEngine(self.scene.curve, self.scene.adapter_slots, self.scene.swap_s)

    def run(self) -> Seen:
        """To the scene's end; what is not answered then is counted as such."""
        self.at(0.0, self._session, None)
        self.at(self.scene.warm_up_s, self._sample, None)
        events, end = self._events, self.scene.seconds
        while events[0][0] < end:
            self.now, _, happen, what = heapq.heappop(events)
            happen(what)
        self.seen.swaps = sum(engine.adapters.swaps for engine in self.engines.values())
        self.seen.unanswered = sum(engine.count for engine in self.engines.values())
        return self.seen

    def at(self, moment: float, happen: Callable[[Any], None], what: object) -> None:
        heapq.heappush(self._events, (moment, next(self._order), happen, what))

    def share_of_users(self) -> float:
        """Of the scene's users: how many there are now."""
        return 1.0

    # -- what happens ----------------------------------------------------------------------------------------------

    def _session(self, _: object) -> None:
        """One begins, and the next is drawn."""
        self.at(self.now + self._users.gap_s(), self._session, None)
        session = self._users.session()
        if self._random.random() < self.share_of_users():
            self._turn(session)

    def _turn(self, session: Session) -> None:
        """A user asks."""
        self.send(Request(next(self._numbers), session, self.now))

    def send(self, request: Request) -> None:
        """A gateway chooses an engine."""
        request.wish = Wish(request.prompt_tokens + ANSWER_TOKENS, *request.session.hashes)
        request.gateway = self._random.randrange(len(self.gateways))
        number = self.gateways[request.gateway].send(request)
        engine = self.engines[number]
        self._end(engine.advance(self.now))
        engine.arrive(request)
        self._look_again(number)

    def _work(self, what: tuple[int, int]) -> None:
        """An engine has something done, unless things have changed since that was foreseen."""
        number, epoch = what
        if epoch == self._epochs[number]:
            self._end(self.engines[number].advance(self.now))
            self._look_again(number)

    def _look_again(self, number: int) -> None:
        epoch = self._epochs[number] = self._epochs.get(number, 0) + 1
        moment = self.engines[number].next_s()
        if moment is not None:
            self.at(moment, self._work, (number, epoch))

    def _end(self, requests: list[Request]) -> None:
        for request in requests:
            self.gateways[request.gateway].policy.end(request.place, request.wish)
            if request.since_s >= self.scene.warm_up_s:
                self.seen.count(request)
            session = request.session
            if session.turns:
                self.at(self.now + session.turns[-1][2], self._turn, session)

    def _sample(self, _: object) -> None:
        self.seen.sample([engine.count for engine in self.engines.values()])
        self.at(self.now + SAMPLE_S, self._sample, None)
