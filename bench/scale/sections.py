"""What is simulated, section by section of the page."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from bench.scale.cluster import Scene
from bench.scale.curves import load_curve
from bench.scale.policies import LEAST_REQUESTS, POLICIES, WINNER, Affinity, MakePolicy
from bench.scale.running import Outcome, Run, outcomes
from bench.scale.scaling import Day, Rules
from bench.scale.tables import TTFT_P50, TTFT_P99, table
from bench.scale.users import Habits
from freehold.serve.engines.policies.affinity import Numbers

GPU, CPU = "llama-3.1-8b-h100", "smollm2-135m-cpu"
USUAL = [TTFT_P50, TTFT_P99, "found in cache", "answered tokens/s", "imbalance"]


@dataclass(frozen=True)
class Effort:
    """How much is simulated."""

    seeds: int
    workers: int


def routing(effort: Effort) -> Iterable[str]:
    """Policies, for each kind of traffic and number of gateways."""
    usual = Scene(load_curve(GPU), Habits(), engines=8, users=12_000, gateways=2, seconds=180.0, warm_up_s=80.0)
    scenes = {
        "200 system prompts, 2 gateways": usual,
        "200 system prompts, 8 gateways": replace(usual, gateways=8),
        "2,000 system prompts, 2 gateways": replace(usual, habits=Habits(apps=2000)),
        "5 system prompts, each with the same examples before every question, 2 gateways": replace(
            usual, habits=Habits(apps=5, same_first=True)
        ),
        "200 system prompts, 40 adapters, 2 gateways": replace(usual, habits=Habits(adapters=40)),
    }
    for title, scene in scenes.items():
        rows = _compared(title, dict.fromkeys(POLICIES, scene), POLICIES, effort)
        figures = [*USUAL, "adapter swaps"] if scene.habits.adapters else USUAL
        yield from (f"**{title}**: {scene.engines} engines, {scene.users:,.0f} users.", "")
        yield from (*table("policy", rows, figures, scene.seconds - scene.warm_up_s), "")


def load(effort: Effort) -> Iterable[str]:
    """How many users the same engines carry."""
    policies = {"least requests": LEAST_REQUESTS, "prefix affinity": WINNER}
    scenes: dict[str, Scene] = {}
    chosen: dict[str, MakePolicy] = {}
    for users in (500, 1000, 1500, 2000, 2500):
        for name, policy in policies.items():
            title = f"{users:,} users an engine, {name}"
            scenes[title] = Scene(
                load_curve(GPU), Habits(), engines=8, users=8 * users, gateways=2, seconds=180.0, warm_up_s=80.0
            )
            chosen[title] = policy
    rows = _compared("Load", scenes, chosen, effort)
    yield from table("8 engines, 2 gateways", rows, USUAL, 100.0)


def size(effort: Effort) -> Iterable[str]:
    """From 1 to 1,000 engines, 1 to 1,000,000 users."""
    policies = {"least requests": LEAST_REQUESTS, "prefix affinity": WINNER}
    for engines, users, seconds in (
        (1, 1, 36_000.0),
        (1, 1000, 300.0),
        (10, 10_000, 300.0),
        (100, 100_000, 120.0),
        (1000, 1_000_000, 60.0),
    ):
        gateways = max(1, min(8, engines // 10))
        scene = Scene(load_curve(GPU), Habits(), engines, users, gateways, seconds, warm_up_s=min(120.0, seconds * 0.6))
        title = f"{engines:,} engine{'s' * (engines > 1)}, {users:,} user{'s' * (users > 1)}"
        few = replace(effort, seeds=1) if engines == 1000 else effort
        rows = _compared(title, dict.fromkeys(policies, scene), policies, few)
        yield from (f"**{title}**, {gateways} gateway{'s' * (gateways > 1)}.", "")
        yield from (*table("policy", rows, USUAL, seconds - scene.warm_up_s), "")


def numbers(effort: Effort) -> Iterable[str]:
    """What the winner's numbers are worth."""
    scene = Scene(
        load_curve(GPU), Habits(adapters=20), engines=8, users=12_000, gateways=8, seconds=180.0, warm_up_s=80.0
    )
    usual = Numbers()
    variants = {
        "as it is": usual,
        "bound 1.1 of the mean": _with(usual, most=1.1),
        "bound 2": _with(usual, most=2.0),
        "slack of 0 requests": _with(usual, slack=0.0),
        "slack of 1": _with(usual, slack=1.0),
        "slack of 16": _with(usual, slack=16.0),
        "1 slot for each place's worth": _with(usual, prompt_room=1.0),
        "2 slots": _with(usual, prompt_room=2.0),
        "8 slots": _with(usual, prompt_room=8.0),
        "64 slots": _with(usual, prompt_room=64.0),
        "adapters: 2 slots": _with(usual, adapter_room=2.0),
        "adapters: 8 slots": _with(usual, adapter_room=8.0),
        "1 place on the ring is tried": _with(usual, steps=1),
        "all places on the ring": _with(usual, steps=1000),
    }
    policies: dict[str, MakePolicy] = {name: Affinity(each) for name, each in variants.items()}
    rows = _compared("Numbers", dict.fromkeys(policies, scene), policies, effort)
    yield from table("8 engines, 8 gateways, 20 adapters", rows, [*USUAL, "adapter swaps"], 100.0)


def small(effort: Effort) -> Iterable[str]:
    """The CPU engine whose curve was measured here."""
    habits = Habits(apps=8, app_tokens=600, turns=3, question_tokens=150, answer_tokens=8, think_s=10, pause_s=60)
    scene = Scene(load_curve(CPU), habits, engines=2, users=50, seconds=1200.0)
    rows = _compared("CPU engines", dict.fromkeys(POLICIES, scene), POLICIES, effort)
    yield from table("2 CPU engines, 50 users", rows, USUAL, 1080.0)


DAY = Day(((0.0, 0.0), (600.0, 0.0), (1500.0, 1.0), (2700.0, 1.0), (2701.0, 0.3), (4200.0, 0.3), (4201.0, 0.0)))


def autoscaling(effort: Effort) -> Iterable[str]:
    """Rules of scaling over a short day: nobody, a rise to the full load, a fall to less than half, nobody."""
    scene = Scene(load_curve(GPU), Habits(), engines=0, users=5000, gateways=2, seconds=6000.0, warm_up_s=0.0)
    usual = Rules(most=8)
    rules = {
        "always 4 engines": replace(usual, fewest=4, most=4),
        "as the chart has it": usual,
        "at least 1 engine": replace(usual, fewest=1),
        "queue of 5": replace(usual, queue=5.0),
        "KV use of 20 %": replace(usual, kv_use=0.2),
        "cooldown of 2 minutes": replace(usual, cooldown_s=120.0),
        "KV use of 20 %, at least 1 engine": replace(usual, kv_use=0.2, fewest=1),
        "engines that start in 30 s": replace(usual, start_s=30.0),
    }
    runs = [
        Run(replace(scene, engines=each.fewest), WINNER, seed, each, DAY)
        for each in rules.values()
        for seed in range(effort.seeds)
    ]
    found = outcomes(runs, effort.workers, "Autoscaling")
    rows = {name: found[at * effort.seeds :][: effort.seeds] for at, name in enumerate(rules)}
    figures = ["engine hours", "held", TTFT_P50, TTFT_P99, "first token after 5 s"]
    yield from table("rules", rows, figures)


def _with(numbers: Numbers, **changes: float) -> Numbers:
    return Numbers(**{name: changes.get(name, getattr(numbers, name)) for name in Numbers.__struct_fields__})


def _compared(
    title: str, scenes: Mapping[str, Scene], policies: Mapping[str, MakePolicy], effort: Effort
) -> dict[str, list[Outcome]]:
    """Outcomes by name, one for each seed; every name meets the same users."""
    runs = [Run(scene, policies[name], seed) for name, scene in scenes.items() for seed in range(effort.seeds)]
    found = outcomes(runs, effort.workers, title)
    return {name: found[at * effort.seeds :][: effort.seeds] for at, name in enumerate(scenes)}


SECTIONS: dict[str, Callable[[Effort], Iterable[str]]] = {
    "routing": routing,
    "load": load,
    "size": size,
    "numbers": numbers,
    "cpu": small,
    "autoscaling": autoscaling,
}
"""By the names of the page's marks."""
