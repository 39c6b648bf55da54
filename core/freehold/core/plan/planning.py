"""A plan: the best layout for what is asked, its speed and cost, and why no more fits."""

from dataclasses import dataclass

from freehold.core.plan.closed import ClosedModel
from freehold.core.plan.cost import BreakEven, Cost, break_even, cost
from freehold.core.plan.fitting import Demand, Fit, fit, largest_context, layouts, obstacle
from freehold.core.plan.gpus import Gpus
from freehold.core.plan.speed import Load, Speed, speed
from freehold.core.plan.subject import Subject
from freehold.core.progress import human_bytes

COUNTS = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True)
class Plan:
    """One model on some GPUs."""

    subject: Subject
    gpus: Gpus
    demand: Demand
    load: Load
    fit: Fit
    speed: Speed
    largest_context: int
    """For as many sequences as were asked for."""
    cost: Cost | None
    break_even: BreakEven | None

    @property
    def suffices(self) -> bool:
        return self.fit.suffices and self.demand.context <= (self.subject.context or self.demand.context)

    @property
    def limits(self) -> list[str]:
        """Why the next size up does not fit, or what was asked for does not."""
        return [text for text in (_context_limit(self), _concurrency_limit(self)) if text]


def plan(
    subject: Subject,
    gpus: Gpus,
    demand: Demand,
    load: Load,
    *,
    gpu_hour: float | None = None,
    closed: ClosedModel | None = None,
) -> Plan:
    """The layout that answers most requests of those that hold what is asked, or the one that holds most."""
    found = [fit(subject, gpus, layout, demand) for layout in layouts(subject, gpus)]
    found = found or [fit(subject, gpus, layout, demand) for layout in layouts(subject, Gpus(1, gpus.gpu))]
    enough = [each for each in found if each.suffices]
    if enough:
        best = max(enough, key=lambda each: speed(subject, gpus, each.layout, demand, load).requests_per_s)
    else:
        best = max(found, key=lambda each: (each.concurrency, each.cache_bytes))
    reached = speed(subject, gpus, best.layout, demand, load)
    own = cost(gpus, gpu_hour, reached, load) if gpu_hour is not None else None
    return Plan(
        subject=subject,
        gpus=gpus,
        demand=demand,
        load=load,
        fit=best,
        speed=reached,
        largest_context=largest_context(subject, best, demand, gpus.gpu),
        cost=own,
        break_even=break_even(own, closed, reached, load) if own and closed else None,
    )


def what_would_do(subject: Subject, gpus: Gpus, demand: Demand) -> str:
    """The fewest GPUs of that kind that hold what is asked; nothing when 64 of them do not."""
    for count in COUNTS:
        more = Gpus(count, gpus.gpu)
        if any(fit(subject, more, layout, demand).suffices for layout in layouts(subject, more)):
            return str(more)
    return ""


def _context_limit(made: Plan) -> str:
    own = made.subject.context
    if own and made.demand.context > own:
        return f"the model takes {own:,} tokens, and {made.demand.context:,} were asked for"
    if own and made.largest_context >= own:
        return f"context: the model takes no more than {own:,} tokens"
    return ""


def _concurrency_limit(made: Plan) -> str:
    found, gpu = made.fit, made.gpus.gpu.title
    beside = [
        f"weights {human_bytes(found.weight_bytes)}",
        f"activations {human_bytes(found.activation_bytes)}",
        f"context and graphs {human_bytes(found.overhead_bytes)}",
    ]
    if found.adapter_bytes:
        beside.append(f"adapters {human_bytes(found.adapter_bytes)}")
    told = f"{', '.join(beside)} of the {human_bytes(found.gpu_bytes)} that an engine may take of one {gpu}"
    if found.cache_bytes <= 0:
        return f"it does not load: {told}"
    room = f"{human_bytes(found.cache_bytes)} are left for the cache beside {told}"
    sequence = f"{made.demand.context:,} tokens takes {human_bytes(found.sequence_bytes)}"
    if found.admitted_bytes > found.sequence_bytes:
        sequence += f", and {human_bytes(found.admitted_bytes)} must be free before one is taken on"
    return f"concurrency: {room}; a sequence of {sequence}"


def shape_obstacles(subject: Subject, gpus: Gpus) -> list[str]:
    """Why layouts that the number of GPUs would allow do not work for the model's shape."""
    return [text for count in COUNTS if count <= gpus.count and (text := obstacle(subject, count))]
