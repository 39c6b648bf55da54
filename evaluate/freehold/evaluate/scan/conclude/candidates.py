"""Which open models of the catalogue could take the place of each closed one that was found."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from freehold.core.manifest import ModelManifest
from freehold.core.manifest.model import Capability
from freehold.core.plan.candidates import suited
from freehold.core.plan.closed import ClosedModel, closed_models
from freehold.core.surface import surface
from freehold.evaluate.scan.finding import Confidence, Finding, Kind


@dataclass(frozen=True)
class Candidate:
    """An open model of the catalogue."""

    manifest: ModelManifest
    named: bool
    """Its publisher holds it against the closed model."""
    lacks: tuple[str, ...]
    """What the code uses with the closed model and this one cannot do."""


@dataclass(frozen=True)
class Replacement:
    """A closed model, where it is named, and what could stand in for it."""

    model: str
    provider: str
    known_as: str
    """Its name in the catalogue of closed models; empty if it is not there."""
    places: tuple[Finding, ...]
    needs: tuple[Capability, ...]
    candidates: tuple[Candidate, ...]


def replacements(findings: Iterable[Finding], catalogue: Iterable[ModelManifest]) -> list[Replacement]:
    """For each closed model found, most named first. Candidates that their
    publishers name come first, then the smaller ones: cheaper to try, and no verdict."""
    manifests = list(catalogue)
    found = list(findings)
    places: dict[tuple[str, str], list[Finding]] = {}
    for each in found:
        if each.kind is Kind.MODEL and each.confidence is not Confidence.MENTION:
            places.setdefault((each.value, each.provider), []).append(each)
    made = [_replacement(name, provider, where, found, manifests) for (name, provider), where in places.items()]
    return sorted(made, key=lambda each: (-len(each.places), each.model))


def _replacement(
    name: str, provider: str, where: list[Finding], found: list[Finding], manifests: list[ModelManifest]
) -> Replacement:
    known = known_as(name)
    closed = closed_models().get(known) if known else None
    needs = sorted({need for each in found if each.model == name for need in _needs(each)})
    ranked = _ranked(name, known, closed, manifests)
    candidates = [
        Candidate(manifest, named, tuple(need for need in needs if need not in manifest.capabilities))
        for manifest, named in ranked
    ]
    candidates.sort(key=lambda each: (bool(each.lacks), not each.named, each.manifest.parameters_total))
    return Replacement(name, provider, known, tuple(where), tuple(needs), tuple(candidates))


def _needs(finding: Finding) -> tuple[Capability, ...]:
    return surface()[finding.value].needs if finding.kind is Kind.FEATURE else ()


def _ranked(
    name: str, known: str, closed: ClosedModel | None, manifests: list[ModelManifest]
) -> list[tuple[ModelManifest, bool]]:
    base = base_name(name)
    fitting, _ = suited(known or base, closed, manifests)
    ranked = {each.manifest.id: (each.manifest, each.named) for each in fitting}
    for manifest in manifests:
        if any(base_name(each.model) == base for each in manifest.replaces):
            ranked[manifest.id] = (manifest, True)
    return list(ranked.values())


def known_as(name: str) -> str:
    """The closed model's name in the catalogue; empty if it has none of that name, dated or not."""
    return next((each for each in (name.lower(), base_name(name)) if each in closed_models()), "")


_DRESS = (
    re.compile(r"^(?:(?:us|eu|ap|apac|au|jp|ca|global|us-gov)\.)?(?:anthropic|amazon|cohere|mistral|ai21)\."),
    re.compile(r"-v\d+(?::\d+)?(?::\w+)?$"),
    re.compile(r"[@-](?:\d{4}-\d\d-\d\d|20\d{6})$"),
    re.compile(r"-latest$"),
)


def base_name(name: str) -> str:
    """Without the cloud that hosts it, its date and its revision; of a tuned model what it was tuned from."""
    base = name.lower()
    if base.startswith("ft:"):
        base = base.split(":")[1]
    for dress in _DRESS:
        base = dress.sub("", base)
    return base
