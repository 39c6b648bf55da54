"""`evaluations`: what an artifact must have been evaluated with, and how long ago at most."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import ClassVar

from pydantic import Field, model_validator

from freehold.core.policy.facts import Facts
from freehold.core.policy.rules.rule import Rule
from freehold.core.policy.stage import Stage
from freehold.core.store.lineage import EvaluationRecord


class EvaluationRule(Rule):
    """Verdicts of suites in the artifact's lineage; the artifact's own, whatever its parents have."""

    stages: ClassVar[frozenset[Stage]] = frozenset({Stage.PROMOTE, Stage.SERVE})
    remedy: ClassVar[str] = (
        "Evaluate it behind `freehold serve --rehearsal` (`freehold evaluate SUITE`), then run "
        "`freehold promote ARTIFACT --run FOLDER`."
    )

    suites: tuple[str, ...] = ()
    """Suites that it must have been promoted with."""
    max_age_days: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Oldest age of an evaluation, from the beginning of its run; of every suite above and of those that the deployment
    requires. Where no suite is named, one evaluation of this age is asked for."""
    accept_slices: bool = True
    """Whether a verdict for some slices only will do."""

    @model_validator(mode="after")
    def _says_something(self) -> "EvaluationRule":
        if not self.suites and self.max_age_days is None:
            raise ValueError("it needs suites or maxAgeDays")
        return self

    def problems(self, facts: Facts, now: datetime) -> Iterator[str]:
        name = facts.itself.name
        by_suite = {one.suite: one for one in facts.evaluations}
        wanted = dict.fromkeys((*self.suites, *facts.requires))
        for suite in wanted:
            found = by_suite.get(suite)
            if found is None:
                yield f"{name} was not promoted with {suite}"
            else:
                yield from (f"{name}: {problem}" for problem in self._against(found, now))
        if not wanted:
            yield from self._one_is_enough(name, facts.evaluations, now)

    def _one_is_enough(self, name: str, evaluations: tuple[EvaluationRecord, ...], now: datetime) -> Iterator[str]:
        if not evaluations:
            yield f"{name} has no evaluation, and one of at most {self.max_age_days:g} days is asked for"
        elif all(list(self._against(one, now)) for one in evaluations):
            newest = max(evaluations, key=_made)
            yield from (f"{name}: {problem}" for problem in self._against(newest, now))

    def _against(self, one: EvaluationRecord, now: datetime) -> Iterator[str]:
        age = now - _made(one)
        if self.max_age_days is not None and age > timedelta(days=self.max_age_days):
            days = age / timedelta(days=1)
            yield f"its evaluation {one.suite} is {days:.1f} days old, and may be {self.max_age_days:g}"
        if one.decision == "hold" or (one.decision != "replace" and not self.accept_slices):
            yield f"its evaluation {one.suite} says {one.decision}"


def _made(one: EvaluationRecord) -> datetime:
    return one.evaluated_at or one.promoted_at
