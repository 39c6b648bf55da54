"""What the gateway does with the features that were found."""

from collections.abc import Iterable
from dataclasses import dataclass

from freehold.core.surface import Feature, Support, surface
from freehold.evaluate.scan.finding import Finding, Kind

NOT_SPOKEN = "through an API that the gateway does not speak"


@dataclass(frozen=True)
class Use:
    """One feature, and everywhere it is used in the same way."""

    id: str
    title: str
    support: Support
    says: str
    places: tuple[Finding, ...]


def support_of(finding: Finding) -> tuple[Support, str]:
    """What the gateway does with the feature at this place, and the condition or the way around."""
    feature: Feature = surface()[finding.value]
    if feature.foreign or feature.support is Support.NO:
        return Support.NO, feature.says
    if finding.foreign:
        return feature.support, f"once OpenAI's client asks for it{f'; {feature.says}' if feature.says else ''}"
    return feature.support, feature.says


_WORST_FIRST = (Support.NO, Support.CONDITIONS, Support.IGNORED, Support.YES)


def uses(findings: Iterable[Finding]) -> list[Use]:
    """By feature; first what the gateway does not do."""
    places: dict[tuple[str, Support, str], list[Finding]] = {}
    for each in findings:
        if each.kind is Kind.FEATURE:
            places.setdefault((each.value, *support_of(each)), []).append(each)
    found = [
        Use(name, surface()[name].title, support, says, tuple(where)) for (name, support, says), where in places.items()
    ]
    return sorted(found, key=lambda use: (_WORST_FIRST.index(use.support), -len(use.places), use.id))
