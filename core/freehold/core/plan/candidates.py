"""Which open models could take a closed one's place on some GPUs, in an order to try them in: no verdict."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from freehold.core.errors import UserError
from freehold.core.manifest import ModelManifest
from freehold.core.plan.closed import ClosedModel
from freehold.core.plan.fitting import Demand
from freehold.core.plan.gpus import Gpus
from freehold.core.plan.planning import Plan, plan
from freehold.core.plan.speed import Load
from freehold.core.plan.subject import subject_of_manifest
from freehold.core.plan.weights import MIXED, WIDTHS


@dataclass(frozen=True)
class Candidate:
    """One that fits, at the widest precision that does."""

    plan: Plan
    named: bool
    """Its publisher holds it against the closed model."""


@dataclass(frozen=True)
class PassedOver:
    """One that was looked at, and why it is no candidate."""

    model: str
    reason: str


def candidates(
    closed_name: str,
    closed: ClosedModel | None,
    manifests: Iterable[ModelManifest],
    gpus: Gpus,
    demand: Demand,
    load: Load,
    gpu_hour: float | None,
) -> tuple[list[Candidate], list[PassedOver]]:
    """First those whose publishers name the closed model, then those that can all it can; of each, the larger first.

    `demand.precision` is not heeded: each is tried at its own, then at those of its variants.
    """
    found: list[Candidate] = []
    fitting, passed = suited(closed_name, closed, manifests)
    for each in fitting:
        made = _widest(each.manifest, gpus, demand, load, gpu_hour, closed)
        if isinstance(made, Plan):
            found.append(Candidate(made, each.named))
        else:
            passed.append(made)
    return sorted(found, key=lambda each: (not each.named, -each.plan.subject.parts.served.elements)), passed


@dataclass(frozen=True)
class Suited:
    """One that could do a closed model's work, on whatever GPUs."""

    manifest: ModelManifest
    named: bool
    """Its publisher holds it against the closed model."""


def suited(
    closed_name: str, closed: ClosedModel | None, manifests: Iterable[ModelManifest]
) -> tuple[list[Suited], list[PassedOver]]:
    """Those whose publishers name the closed model and those that can all it can; and why others cannot."""
    found: list[Suited] = []
    passed: list[PassedOver] = []
    for manifest in manifests:
        named = closed_name in {each.model for each in manifest.replaces}
        if not named and (lack := _lack(manifest, closed)):
            passed.append(PassedOver(manifest.id, lack))
        else:
            found.append(Suited(manifest, named))
    return found, passed


def _widest(
    manifest: ModelManifest,
    gpus: Gpus,
    demand: Demand,
    load: Load,
    gpu_hour: float | None,
    closed: ClosedModel | None,
) -> Plan | PassedOver:
    try:
        subject = subject_of_manifest(manifest)
        for precision in _precisions(manifest):
            wanted = replace(demand, precision=precision)
            made = plan(subject, gpus, wanted, load, gpu_hour=gpu_hour, closed=closed)
            if made.suffices:
                return made
    except UserError as error:
        return PassedOver(manifest.id, error.what)
    return PassedOver(manifest.id, f"does not fit {gpus}")


def _lack(manifest: ModelManifest, closed: ClosedModel | None) -> str:
    """What the closed model can and this one cannot; nothing when it can all of it."""
    if closed is None:
        return "nothing is known of what the closed model can"
    missing = sorted(set(closed.capabilities) - set(manifest.capabilities))
    return f"lacks {', '.join(missing)}" if missing else ""


def _precisions(manifest: ModelManifest) -> Iterator[str]:
    """Its own, then narrower ones; what is mixed in a variant only its files say."""
    named = {manifest.precision, *(variant.precision for variant in manifest.variants)} - {MIXED}
    if manifest.precision == MIXED:
        yield MIXED
    yield from sorted((name for name in named if name in WIDTHS), key=lambda name: -WIDTHS[name])
