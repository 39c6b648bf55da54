"""Which place gets a request: the same one for what begins alike, never far more than its part, few moves."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from random import Random

import pytest

from freehold.serve.engines.policies import ANY, POLICIES, Policy, PrefixAffinity, Wish
from freehold.serve.engines.policies.affinity import Numbers
from freehold.serve.engines.policies.policy import P
from freehold.serve.engines.policies.ring import Ring

NAMES = [f"10.0.0.{number}" for number in range(1, 9)]


@dataclass
class Spot:
    name: str
    in_flight: int = 0
    tokens: int = 0
    is_open: bool = True


class Gateway:
    """One gateway's policy and what it knows of the places."""

    def __init__(self, policy: Policy, names: list[str] = NAMES) -> None:
        self.policy = policy
        self.spots = {name: Spot(name) for name in names}
        policy.change(names)

    def choose(self, wish: Wish) -> Spot:
        spot = self.policy.choose(self.spots, wish, lambda spot: spot.is_open)
        assert spot is not None
        return spot

    def leave(self, name: str) -> None:
        del self.spots[name]
        self.policy.change(self.spots)


def sessions(number: int, seed: int, *, prompts: int = 400) -> Iterator[Wish]:
    """Requests of many sessions, with system prompts of which each is rare."""
    draw = Random(seed)
    hashes = [Random(f"prompt {each}").getrandbits(32) for each in range(prompts)]
    for _ in range(number):
        yield Wish(500, draw.choice(hashes), draw.getrandbits(32))


def share_that_returns(policy: Policy) -> float:
    """Of requests that begin as one before did: how many come to where that was."""
    gateway, last, returned = Gateway(policy), dict[int, str](), list[bool]()
    for wish in sessions(4000, seed=1):
        assert wish.prompt is not None
        name = gateway.choose(wish).name
        if wish.prompt in last:
            returned.append(last[wish.prompt] == name)
        last[wish.prompt] = name
    return sum(returned) / len(returned)


def test_what_begins_alike_comes_to_the_same_place() -> None:
    assert share_that_returns(PrefixAffinity()) > 0.95


@pytest.mark.parametrize("name", ["least-tokens", "least-requests", "round-robin"])
def test_policies_that_ignore_prefixes_fail_that(name: str) -> None:
    assert share_that_returns(POLICIES[name]()) < 0.3


def test_gateways_agree_without_a_word() -> None:
    one, other = Gateway(PrefixAffinity()), Gateway(PrefixAffinity(), NAMES[::-1])
    for wish in sessions(3000, seed=2):
        one.choose(wish)
    for wish in sessions(3000, seed=3):
        other.choose(wish)
    agreed = [one.choose(wish).name == other.choose(wish).name for wish in sessions(1000, seed=4)]
    assert sum(agreed) / len(agreed) > 0.95


def test_a_session_of_a_popular_system_prompt_stays_and_the_others_spread() -> None:
    gateway = Gateway(PrefixAffinity())
    hot = [Wish(500, 7, Random(number).getrandbits(32)) for number in range(400)]
    for wish in hot * 3:
        gateway.choose(wish)
    first, second = ([gateway.choose(wish).name for wish in hot] for _ in range(2))
    assert first == second
    assert set(first) == set(NAMES) and max(Counter(first).values()) < 3 * len(hot) / len(NAMES)


def most_over_bound(policy: Policy, numbers: Numbers) -> float:
    """All requests are the same, none ends: the largest excess of a place over what it may have, in tokens."""
    gateway, wish, excess = Gateway(policy), Wish(500, 7, 7), 0.0
    for number in range(400):
        spot = gateway.choose(wish)
        policy.begin(spot, wish)
        mean = 500 * (number + 1) / len(NAMES)
        excess = max(excess, spot.tokens - numbers.most * mean - numbers.slack * 500)
    assert sum(spot.tokens for spot in gateway.spots.values()) == 400 * 500
    return excess


def test_load_is_bounded_under_one_hot_prefix() -> None:
    assert most_over_bound(PrefixAffinity(), Numbers()) <= 0


def test_without_the_bound_that_fails() -> None:
    assert most_over_bound(PrefixAffinity(Numbers(most=float("inf"))), Numbers()) > 100 * 500


def test_bounds_of_several_gateways_add_up_to_one() -> None:
    gateways = [Gateway(PrefixAffinity()) for _ in range(4)]
    wish, total = Wish(500, 7, 7), Counter[str]()
    for number in range(800):
        gateway = gateways[number % 4]
        spot = gateway.choose(wish)
        gateway.policy.begin(spot, wish)
        total[spot.name] += 500
    allowed = 1.25 * 800 * 500 / len(NAMES) + len(gateways) * 4 * 500
    assert max(total.values()) <= allowed


def test_what_ends_is_not_counted_any_more() -> None:
    gateway = Gateway(PrefixAffinity())
    wish = Wish(500, 7, 7)
    under_way = []
    for _ in range(50):
        spot = gateway.choose(wish)
        gateway.policy.begin(spot, wish)
        under_way.append(spot)
    for spot in under_way:
        gateway.policy.end(spot, wish)
    assert gateway.policy.tokens == 0
    assert all(spot.tokens == spot.in_flight == 0 for spot in gateway.spots.values())


def moved(make: Callable[[], Policy]) -> float:
    """Of sessions that were not at the place that leaves: how many go elsewhere from then on."""
    gateway = Gateway(make())
    for wish in sessions(3000, seed=5):
        gateway.choose(wish)
    asked = list(sessions(500, seed=6))
    before = [gateway.choose(wish).name for wish in asked]
    gateway.leave(NAMES[3])
    after = [gateway.choose(wish).name for wish in asked]
    stayed = [(old, new) for old, new in zip(before, after, strict=True) if old != NAMES[3]]
    return sum(old != new for old, new in stayed) / len(stayed)


def test_when_a_place_leaves_only_its_own_sessions_move() -> None:
    assert moved(PrefixAffinity) < 0.02


def test_a_remainder_instead_of_the_ring_fails_that() -> None:
    class Remainder(PrefixAffinity):
        def choose(self, places: Mapping[str, P], wish: Wish, takes: Callable[[P], bool]) -> P | None:
            return list(places.values())[(wish.prompt or 0) % len(places)]

    assert moved(Remainder) > 0.5


def test_a_ring_moves_the_keys_of_those_who_come_and_go_alone() -> None:
    ring, keys = Ring(NAMES), [number * 7919 * 65537 for number in range(2000)]
    before = [next(ring.walk(key)) for key in keys]
    ring.change(NAMES[1:])
    without = [next(ring.walk(key)) for key in keys]
    assert all(old == new for old, new in zip(before, without, strict=True) if old != NAMES[0])
    ring.change(NAMES)
    assert [next(ring.walk(key)) for key in keys] == before
    shares = Counter(before)
    assert min(shares.values()) > 2000 / len(NAMES) / 2 and max(shares.values()) < 2000 / len(NAMES) * 2


def test_a_walk_comes_by_every_place_once() -> None:
    assert all(sorted(Ring(NAMES).walk(key)) == sorted(NAMES) for key in (0, 1 << 31, (1 << 32) - 1))
    assert list(Ring().walk(5)) == []


def test_an_adapter_keeps_to_few_places() -> None:
    gateway = Gateway(PrefixAffinity())
    seen: dict[int, set[str]] = {}
    draw = Random(8)
    for _ in range(4000):
        adapter = draw.randrange(40)
        wish = Wish(500, adapter * 1000 + draw.randrange(50), draw.getrandbits(32), Random(adapter).getrandbits(32))
        seen.setdefault(adapter, set()).add(gateway.choose(wish).name)
    assert sum(map(len, seen.values())) / len(seen) < 3, "of 8 places"


@pytest.mark.parametrize("name", POLICIES)
def test_places_that_take_nothing_are_passed_over(name: str) -> None:
    gateway = Gateway(POLICIES[name]())
    for spot in gateway.spots.values():
        spot.is_open = spot.name == NAMES[5]
    assert {gateway.choose(wish).name for wish in sessions(50, seed=9)} == {NAMES[5]}
    assert gateway.choose(ANY).name == NAMES[5]
    gateway.spots[NAMES[5]].is_open = False
    assert gateway.policy.choose(gateway.spots, ANY, lambda spot: spot.is_open) is None


@pytest.mark.parametrize(("name", "loads", "chosen"), [
    ("least-requests", {"a": (1, 9000), "b": (2, 10)}, "aa"),
    ("least-tokens", {"a": (1, 9000), "b": (2, 10)}, "bb"),
    ("least-tokens", {"a": (1, 10), "b": (2, 10)}, "ab"),
    ("round-robin", {"a": (9, 9000), "b": (0, 0)}, "ab"),
])  # fmt: skip
def test_the_simple_ones(name: str, loads: dict[str, tuple[int, int]], chosen: str) -> None:
    gateway = Gateway(POLICIES[name](), list(loads))
    for each, (in_flight, tokens) in loads.items():
        gateway.spots[each] = Spot(each, in_flight, tokens)
    assert sorted(gateway.choose(ANY).name for _ in range(2)) == sorted(chosen)


def test_what_is_remembered_of_past_requests_is_bounded() -> None:
    policy = PrefixAffinity()
    gateway = Gateway(policy)
    for number in range(20_000):
        gateway.choose(Wish(500, number, number))
    assert len(policy.shares) <= 1024
