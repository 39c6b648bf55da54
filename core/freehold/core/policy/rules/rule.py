"""What every rule is: a part of the schema that finds what speaks against an artifact."""

from abc import abstractmethod
from collections.abc import Iterator
from datetime import datetime
from typing import ClassVar

from freehold.core.config import ConfigModel
from freehold.core.policy.facts import Facts
from freehold.core.policy.stage import Stage

ALWAYS = frozenset(Stage)
"""For what is known of an artifact from the beginning."""


class Rule(ConfigModel):
    """One key of `policy.yaml`. What a rule cannot know counts against the artifact."""

    stages: ClassVar[frozenset[Stage]] = ALWAYS
    remedy: ClassVar[str]
    """What who meets it can do."""

    def holds_at(self, stage: Stage) -> bool:
        """Whether the rule is asked at this stage."""
        return stage in self.stages

    @abstractmethod
    def problems(self, facts: Facts, now: datetime) -> Iterator[str]:
        """Sentences, one for each thing that breaks the rule."""
