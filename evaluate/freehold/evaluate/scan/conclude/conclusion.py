"""The three conclusions together."""

from collections.abc import Iterable
from dataclasses import dataclass

from freehold.core.manifest import ModelManifest
from freehold.core.surface import Support
from freehold.evaluate.scan.conclude.candidates import Replacement, replacements
from freehold.evaluate.scan.conclude.changes import Change, changes
from freehold.evaluate.scan.conclude.supporting import Use, uses
from freehold.evaluate.scan.finding import Finding


@dataclass(frozen=True)
class Conclusion:
    """Of one inventory."""

    uses: list[Use]
    changes: list[Change]
    replacements: list[Replacement]

    @property
    def unsupported(self) -> list[Use]:
        """What the gateway does not do."""
        return [use for use in self.uses if use.support is Support.NO]


def conclude(findings: Iterable[Finding], catalogue: Iterable[ModelManifest]) -> Conclusion:
    """From what was found, mentions or not."""
    found = list(findings)
    return Conclusion(uses(found), changes(found), replacements(found, catalogue))
