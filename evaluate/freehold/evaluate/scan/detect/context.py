"""What the detectors share while they look at one program."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from freehold.evaluate.scan.finding import Confidence, Finding, Kind
from freehold.evaluate.scan.knowledge import ClosedNames, Sdk
from freehold.evaluate.scan.knowledge.sdks import Language, sdks
from freehold.evaluate.scan.program import Program

_RANK = {Confidence.CERTAIN: 0, Confidence.LIKELY: 1, Confidence.MENTION: 2}


@dataclass(slots=True)
class Context:
    """One file, what is known of it, and what has been found in it. The same thing on a line is found once."""

    file: str
    program: Program
    language: Language
    names: ClosedNames
    imported: dict[str, Sdk] = field(default_factory=dict)
    """The libraries that this file imports, by id."""
    found: dict[tuple[int, Kind, str], Finding] = field(default_factory=dict)

    def add(
        self,
        line: int,
        kind: Kind,
        value: str,
        provider: str,
        confidence: Confidence = Confidence.CERTAIN,
        *,
        model: str = "",
        change: str = "",
        settled: bool = False,
        foreign: bool = False,
    ) -> None:
        """Of two that are the same, the surer one stays."""
        new = Finding(self.file, line, kind, value, provider, confidence, model, change, settled, foreign)
        old = self.found.get((line, kind, value))
        if old is None:
            self.found[line, kind, value] = new
        elif _RANK[confidence] < _RANK[old.confidence]:
            self.found[line, kind, value] = replace(new, model=model or old.model, change=change or old.change)
        elif model and not old.model:
            self.found[line, kind, value] = replace(old, model=model)

    def library(self) -> Sdk | None:
        """A library that this file uses; OpenAI's where it asks an endpoint without one."""
        asks = any(
            kind is Kind.ENDPOINT and one.confidence is not Confidence.MENTION
            for (_, kind, _), one in self.found.items()
        )
        return next(iter(self.imported.values()), sdks()["openai"] if asks else None)

    def results(self) -> Iterable[Finding]:
        """By line."""
        return sorted(self.found.values(), key=lambda each: (each.line, each.kind, each.value))
