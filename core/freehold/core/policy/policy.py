"""The schema of `policy.yaml`: a key per rule. A rule that is not written does not hold."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import model_validator

from freehold.core.config import ConfigModel
from freehold.core.policy.rules import (
    EvaluationRule,
    FormatRule,
    GateRule,
    LicenseRule,
    PublisherRule,
    Rule,
    SignatureRule,
)


class Policy(ConfigModel):
    """What may be pulled, promoted and served."""

    licenses: LicenseRule | None = None
    """Under which licences models may be used. One whose licence is not known is refused."""
    publishers: PublisherRule | None = None
    """From which sources they may come."""
    signatures: SignatureRule | None = None
    """Who must have signed what is loaded."""
    formats: FormatRule | None = None
    """In which formats their weights may be."""
    evaluations: EvaluationRule | None = None
    """What they must have been evaluated with, and how long ago at most; asked at promotion and serving."""
    gates: GateRule | None = None
    """Which gates nobody may waive; asked at promotion and serving."""

    @model_validator(mode="after")
    def _has_a_rule(self) -> "Policy":
        if not any(True for _ in self.rules()):
            raise ValueError(f"it holds no rule; rules are {', '.join(type(self).model_fields)}")
        return self

    def beside(self, folder: Path) -> "Policy":
        """With the files that it names taken from its own folder. Raises ConfigError where one cannot be read."""
        if self.signatures is None:
            return self
        signatures = self.signatures.beside(folder)
        _ = signatures.trust
        return self.model_copy(update={"signatures": signatures})

    def rules(self) -> Iterator[tuple[str, Rule]]:
        """Those that are written, by their name in the file."""
        for name in type(self).model_fields:
            rule = getattr(self, name)
            if rule is not None:
                yield name, rule
