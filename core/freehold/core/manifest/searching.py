"""Which models of the catalogue answer a wish."""

from collections.abc import Iterable
from dataclasses import dataclass

from freehold.core.manifest.model import ModelManifest


@dataclass(frozen=True)
class Wish:
    """What a model must have; what is None or empty is not asked for."""

    family: str | None = None
    role: str | None = None
    license: str | None = None
    """Its SPDX identifier, letters of either case."""
    commercial: bool = False
    """Only what may be used commercially without conditions."""
    capabilities: tuple[str, ...] = ()
    replaces: str | None = None
    largest: int | None = None
    """Most parameters in all."""

    def suits(self, manifest: ModelManifest) -> bool:
        """Whether the model has all of it."""
        return (
            self.family in (None, manifest.family)
            and (self.role is None or self.role in manifest.roles)
            and (self.license is None or self.license.lower() == manifest.license.spdx.lower())
            and (not self.commercial or manifest.license.commercial_use == "yes")
            and set(self.capabilities) <= set(manifest.capabilities)
            and (self.replaces is None or self.replaces in {each.model for each in manifest.replaces})
            and (self.largest is None or manifest.parameters_total <= self.largest)
        )


def search(manifests: Iterable[ModelManifest], text: str) -> list[ModelManifest]:
    """Those that hold every word of the text, the ones with more of them in id or title first."""
    words = text.lower().split()
    found = [(manifest, _headline(manifest), _all(manifest)) for manifest in manifests]
    hits = [(manifest, head) for manifest, head, whole in found if all(word in whole for word in words)]
    ranked = sorted(hits, key=lambda hit: (-sum(word in hit[1] for word in words), hit[0].id))
    return [manifest for manifest, _ in ranked]


def _headline(manifest: ModelManifest) -> str:
    return f"{manifest.id} {manifest.title}".lower()


def _all(manifest: ModelManifest) -> str:
    about = (manifest.publisher, manifest.description, manifest.family, manifest.license.spdx)
    more = (*about, manifest.architecture or "")
    told = (*more, *manifest.roles, *manifest.capabilities, *(each.model for each in manifest.replaces))
    return " ".join((_headline(manifest), *told)).lower()
