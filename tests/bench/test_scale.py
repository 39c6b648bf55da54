"""The simulation: its engine is checked by hand, its runs repeat themselves, and policies differ as they should."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.scale.cache import PrefixCache
from bench.scale.cluster import Cluster, Scene
from bench.scale.curves import CURVES, Curve, load_curve
from bench.scale.engine import SimulatedEngine
from bench.scale.engines.report import Measured
from bench.scale.engines.report import table as ratios
from bench.scale.policies import LEAST_REQUESTS, POLICIES, WINNER
from bench.scale.running import Run, outcomes, simulated
from bench.scale.scaling import Autoscaler, Day, Rules
from bench.scale.tables import TTFT_P99, table
from bench.scale.users import Habits, Request, Session, Users

CURVE = Curve(
    engine="by hand",
    source="roofline",
    how="by hand",
    prefill_tokens_per_s=1000.0,
    step_s={1: 0.01, 2: 0.02, 4: 0.04},
    cache_tokens=10_000,
    most_sequences=4,
    chunk_tokens=500,
)
SCENE = Scene(CURVE, Habits(apps=40, app_tokens=300, answer_tokens=20), 4, 160, seconds=400.0, warm_up_s=100.0)


def request(number: int = 0, *, app: int = 1, prompt: int = 800, question: int = 200, answer: int = 50) -> Request:
    return Request(number, Session(1000 + number, app, prompt, 0, [(question, answer, 0.0)]), 0.0)


def ended(engine: SimulatedEngine) -> list[tuple[float, Request]]:
    """Everything that it finishes, and when."""
    found = []
    while (moment := engine.next_s()) is not None:
        found += [(moment, each) for each in engine.advance(moment)]
    return found


def test_one_request_takes_what_the_curve_says() -> None:
    engine = SimulatedEngine(CURVE, 1, 0.0)
    engine.arrive(request())
    [(end, only)] = ended(engine)
    assert only.first_s == pytest.approx(1.0), "1,000 tokens at 1,000 a second"
    assert end == pytest.approx(1.0 + 50 * 0.01)


def test_two_that_write_share_the_steps() -> None:
    engine = SimulatedEngine(CURVE, 1, 0.0)
    for number in range(2):
        engine.arrive(request(number, app=number, prompt=1, question=1))
    (first, _), (second, _) = ended(engine)
    assert first == pytest.approx(second, rel=0.01) == pytest.approx(50 * 0.02, rel=0.05)


def test_a_prompt_slows_those_who_write() -> None:
    alone, beside = SimulatedEngine(CURVE, 1, 0.0), SimulatedEngine(CURVE, 1, 0.0)
    for engine in (alone, beside):
        engine.arrive(request(0, prompt=1, question=1))
        engine.advance(0.1)
    beside.arrive(request(1, app=2))
    assert ended(beside)[0][0] > ended(alone)[0][0] + 0.5


def test_what_was_read_is_not_read_again() -> None:
    engine = SimulatedEngine(CURVE, 1, 0.0)
    for number in range(2):
        engine.arrive(request(number))
        ended(engine)
    engine.arrive(third := request(3))
    assert third.found_tokens == 800 and third.unread == 200


def test_a_cache_gives_up_what_was_used_longest_ago_from_its_end() -> None:
    cache = PrefixCache(10)
    cache.end(1, 100, 11, 50)
    cache.end(2, 100, 12, 50)
    cache.shrink(280)
    assert cache.tokens == 280
    assert cache.begin(1, 100, 11, 50) == 130, "20 of the first session's are gone, and nothing else"
    cache.shrink(100)
    assert cache.begin(2, 100, 12, 50) == 0
    assert cache.tokens == 200


def test_a_full_engine_lets_requests_wait() -> None:
    engine = SimulatedEngine(CURVE, 1, 0.0)
    for number in range(6):
        engine.arrive(request(number))
    assert len(engine.waiting) == 2 and engine.count == 6
    assert len(ended(engine)) == 6 and engine.used_tokens == 0


def test_an_adapter_that_is_not_there_is_brought_in() -> None:
    def takes(adapters: tuple[int, ...], slots: int) -> tuple[float, int]:
        engine = SimulatedEngine(CURVE, slots, swap_s=1.0)
        for number, adapter in enumerate(adapters):
            engine.arrive(Request(number, Session(1000 + number, 1, 16, adapter, [(16, 1, 0.0)]), 0.0))
            ended(engine)
        return float(engine.next_s() or engine._now), engine.adapters.swaps

    assert takes((1, 2, 1, 2), 2)[1] == 2 and takes((1, 2, 1, 2), 1)[1] == 4
    assert takes((1, 2, 1, 2), 1)[0] > takes((1, 2, 1, 2), 2)[0] + 1.9


def test_the_same_seed_gives_the_same_run_and_another_does_not() -> None:
    one, same, other = (Cluster(SCENE, WINNER, seed).run() for seed in (1, 1, 2))
    assert one.first_s == same.first_s and one.imbalances == same.imbalances
    assert one.first_s != other.first_s


def test_every_policy_meets_the_same_users() -> None:
    def drawn(policy: str) -> list[Any]:
        users = Users(SCENE.habits, SCENE.users, 1)
        Cluster(SCENE, POLICIES[policy], 1)
        return [(session.app, session.turns) for session in (users.session() for _ in range(200))]

    assert drawn("round robin") == drawn("prefix affinity")


@pytest.mark.parametrize("gateways", [1, 4])
@pytest.mark.parametrize("policy", POLICIES)
def test_each_request_is_answered_once_and_nothing_is_left_in_flight(policy: str, gateways: int) -> None:
    cluster = Cluster(replace(SCENE, gateways=gateways, warm_up_s=0.0, seconds=200.0), POLICIES[policy], 1)
    seen = cluster.run()
    sent = next(cluster._numbers)
    assert seen.requests + seen.unanswered == sent > 100
    in_flight = sum(place.in_flight for gateway in cluster.gateways for place in gateway.places.values())
    assert in_flight == seen.unanswered


def test_prefixes_pay_and_a_policy_that_ignores_them_shows_it() -> None:
    ignoring, heeding = (Cluster(SCENE, policy, 1).run() for policy in (LEAST_REQUESTS, WINNER))
    assert heeding.hit_rate > ignoring.hit_rate + 0.1
    assert heeding.first_ms(50) < ignoring.first_ms(50)


def test_without_a_bound_one_engine_is_overrun() -> None:
    scene = replace(SCENE, habits=replace(SCENE.habits, apps=2), users=300)
    bounded, unbounded = (
        Cluster(scene, POLICIES[name], 1).run() for name in ("system prompt", "system prompt, no bound")
    )
    assert unbounded.imbalance > bounded.imbalance and unbounded.first_ms(99) > bounded.first_ms(99)


def test_runs_side_by_side_come_in_order() -> None:
    runs = [Run(replace(SCENE, seconds=150.0), WINNER, seed) for seed in (3, 1)]
    found = outcomes(runs, 2, "test")
    assert [one.seen.first_s for one in found] == [simulated(run).seen.first_s for run in runs]
    lines = table("policy", {"one": found}, [TTFT_P99, "found in cache"])
    assert lines[0] == "| policy | TTFT p99, ms | found in cache |" and "**" in lines[2]


RULES = Rules(queue=5, kv_use=0.8, cooldown_s=60, up_s=15, down_s=15, start_s=30)


def test_engines_come_with_a_queue_one_by_one_and_go_after_the_cooldown() -> None:
    scaler = Autoscaler(RULES)
    assert scaler.engines(0.0, 0, 0, 0.0, 0) == 0
    assert scaler.engines(15.0, 0, 3, 0.0, 3) == 1, "held requests wake the first"
    assert scaler.engines(30.0, 1, 40, 0.5, 40) == 2, "no more at once, whatever waits"
    assert scaler.engines(45.0, 2, 0, 0.1, 1) == 2, "the cooldown remembers the queue"
    assert scaler.engines(150.0, 2, 0, 0.1, 1) == 1
    assert scaler.engines(165.0, 1, 0, 0.1, 1) == 1, "what runs keeps the last"
    assert scaler.engines(300.0, 1, 0, 0.0, 0) == 0


def test_a_full_cache_asks_for_more_engines() -> None:
    scaler = Autoscaler(RULES)
    assert scaler.engines(0.0, 2, 0, 0.85, 9) == 2, "within the tolerance"
    assert scaler.engines(15.0, 2, 0, 0.95, 9) == 3


def test_the_rules_are_those_of_the_chart() -> None:
    values = yaml.safe_load((Path(__file__).parents[2] / "helm" / "freehold" / "values.yaml").read_text())
    chart, rules = values["engineDefaults"]["autoscaling"], Rules()
    assert (rules.queue, rules.kv_use, rules.cooldown_s) == (chart["queue"], chart["kvUse"], chart["cooldownSeconds"])


def test_from_nothing_and_back_no_request_is_lost() -> None:
    day = Day(((0.0, 0.0), (60.0, 1.0), (400.0, 1.0), (401.0, 0.0)))
    scene = replace(SCENE, engines=0, seconds=2000.0, warm_up_s=0.0)
    found = simulated(Run(scene, WINNER, 1, replace(RULES, most=4), day))
    assert found.seen.unanswered == 0 and found.seen.requests > 100
    assert found.held > 0 and max(found.seen.first_s) > RULES.start_s - 15
    assert 0 < found.engine_hours < 4 * 2000 / 3600


@pytest.mark.parametrize("name", CURVES)
def test_curves_say_where_they_come_from(name: str) -> None:
    curve = load_curve(name)
    steps = [curve.step(count) for count in range(1, 257)]
    assert curve.how.startswith("python -m bench.scale.curves.") and steps == sorted(steps)
    assert curve.source == ("roofline" if "roofline" in curve.how else "measured")


def test_ratios_are_of_the_same_round() -> None:
    fast, slow = Measured(0.6, [0.1, 0.2], 3.0), Measured(0.3, [0.2, 0.4], 6.0)
    faster, slower = (Measured(0.5, [one / 2 for one in each.first_token_s], 1.0) for each in (fast, slow))
    lines = ratios([{"ours": fast, "base": slow}, {"ours": faster, "base": slower}], ["ours", "base"], "base")
    assert "**55.0%** (50.0%–60.0%) | **0.50** (0.50–0.50)" in lines[2]
    assert "**1.00** (1.00–1.00)" in lines[3]
