"""The policies that hold in one place, and judging by them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from freehold.core.errors import PolicyError
from freehold.core.manifest import Catalogue, load_catalogue
from freehold.core.policy.facts import Facts
from freehold.core.policy.loading import PolicyFile, find_policies
from freehold.core.policy.stage import Stage
from freehold.core.settings import Settings

_EMPTY = Catalogue({})


@dataclass(frozen=True)
class Finding:
    """What one rule of one policy says of an artifact."""

    policy: Path
    rule: str
    problems: tuple[str, ...]
    remedy: str
    is_asked: bool = True
    """False for a rule that does not hold at this stage."""

    @property
    def is_kept(self) -> bool:
        return not self.problems

    def lines(self) -> list[str]:
        """A line for each problem, with the rule's name and file."""
        return [f"policy rule '{self.rule}' of {self.policy}: {problem}" for problem in self.problems]


@dataclass(frozen=True)
class Policies:
    """Every policy that holds here; none lifts what another says."""

    files: tuple[PolicyFile, ...] = ()
    catalogue: Catalogue = _EMPTY
    stage: Stage = Stage.SERVE
    """At which stage serving is judged: `rehearse` where nobody but an evaluation will ask."""

    def __bool__(self) -> bool:
        return bool(self.files)

    @property
    def ask_for_signatures(self) -> bool:
        """Whether what is served must be signed, so that its bytes have to be read before."""
        rules = (file.policy.signatures for file in self.files)
        return any(rule is not None and rule.holds_at(self.stage) for rule in rules)

    def judge(self, facts: Facts, stage: Stage, now: datetime | None = None) -> list[Finding]:
        """What each rule says, kept ones too, in the files' order."""
        moment = now or datetime.now(UTC)
        found = []
        for file in self.files:
            for name, rule in file.policy.rules():
                is_asked = rule.holds_at(stage)
                problems = tuple(rule.problems(facts, moment)) if is_asked else ()
                found.append(Finding(file.path, name, problems, rule.remedy, is_asked))
        return found

    def enforce(self, facts: Facts, stage: Stage, what: str) -> None:
        """Raise PolicyError with everything that speaks against it; `what` ends the sentence `X may not be …`."""
        refuse(what, self.judge(facts, stage))


NO_POLICY = Policies()
"""Where nothing is ruled."""


def refuse(what: str, findings: Sequence[Finding]) -> None:
    """Raises PolicyError with every problem among the findings, if there is one."""
    broken = [finding for finding in findings if not finding.is_kept]
    if broken:
        raise PolicyError(
            what,
            [line for finding in broken for line in finding.lines()],
            next_step=" ".join(dict.fromkeys(finding.remedy for finding in broken)),
        )


def policies_here(settings: Settings, deployment: Path | None = None) -> Policies:
    """The policies of this machine and of a deployment, with the catalogue that they are judged by.

    Raises what `find_policies` raises.
    """
    files = find_policies(settings, deployment)
    stage = Stage.REHEARSE if settings.is_rehearsal else Stage.SERVE
    return Policies(files, load_catalogue(settings.manifests_root) if files else _EMPTY, stage)
