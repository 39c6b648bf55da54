"""`gates`: which gates nobody may waive."""

from collections.abc import Iterator
from datetime import datetime
from typing import ClassVar, Literal

from pydantic import Field

from freehold.core.policy.facts import Facts
from freehold.core.policy.rules.rule import Rule
from freehold.core.policy.stage import Stage


class GateRule(Rule):
    """A gate that is named here must have been passed, by an artifact and by all that it was made from.

    `accept:` of a deployment and `--accept-…` do not help.
    """

    stages: ClassVar[frozenset[Stage]] = frozenset({Stage.PROMOTE, Stage.SERVE})
    remedy: ClassVar[str] = "Let the gate judge it (`freehold parity ID`, `freehold quality ID`), and drop `accept`."

    require: tuple[Literal["parity", "quality", "probe"], ...] = Field(min_length=1)
    """`parity` of adapters and merged models, `quality` of quantized ones, `probe` of every engine when it starts."""

    def problems(self, facts: Facts, now: datetime) -> Iterator[str]:
        for link in facts.chain:
            if link.is_missing:
                yield f"{link.name} is not in the store, so its gates are not known"
            for state in link.gates:
                if state.gate in self.require and state.problem:
                    yield f"{link.name} has not passed the {state.gate} gate: {state.problem}"
        if "probe" in self.require and facts.is_probed is False:
            yield f"{facts.itself.name} would be served without the golden probe (`engine.probe: off`)"
