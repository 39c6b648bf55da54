"""Several drafts, their critique and one answer: `routes.<name>.contemplate`."""

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator

from freehold.serve.config.base import ConfigModel

MOST_DRAFTS = 64
"""Of one agent. More would not be several opinions any more but a benchmark."""


class Contemplate(ConfigModel):
    """Who drafts, who judges, and within what."""

    agents: dict[Annotated[str, Field(min_length=1)], Annotated[int, Field(ge=1, le=MOST_DRAFTS)]] = Field(min_length=1)
    """Models that draft, each with its number of drafts, for example `{qwen3-8b: 2, mistral-7b: 1}`."""
    mode: Literal["debate", "majority"] = "debate"
    """`debate`: the agents criticise the drafts and the judge merges them. `majority`: the answer that most drafts
    give; no judge is asked."""
    judge: str | None = Field(default=None, min_length=1)
    """Model that merges; required for a debate."""
    rounds: int = Field(default=1, ge=0, le=4)
    """Of critique, in a debate; each agent writes one per draft of its own and round."""
    max_tokens: int = Field(default=8192, gt=0)
    """Most tokens that all parts of one request generate together; the request's own `max_tokens` bounds each draft and
    the answer."""
    time_s: float = Field(default=120.0, gt=0)
    """Seconds that one request may take. In a debate the last quarter is the judge's."""
    temperature: float = Field(default=0.7, ge=0, le=2)
    """Of drafts and critiques, where the request names none: at 0 drafts of one model are all alike."""
    judge_temperature: float | None = Field(default=0.0, ge=0, le=2)
    """Of the judge, where the request names none; none is what the engine takes by itself."""
    answer_pattern: str | None = None
    """Regular expression for what counts as a draft's answer when drafts are compared: its first group, or all of it,
    at its last match, for example `(-?\\d+)`. None is the whole text but for case, blanks and punctuation at its
    ends."""
    quorum: int | None = Field(default=None, ge=1)
    """Drafts without which there is no answer; none means more than half."""

    @field_validator("answer_pattern")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(f"it is no regular expression: {error}") from error
        return value

    @property
    def drafts(self) -> int:
        """How many there are to be."""
        return sum(self.agents.values())

    @property
    def parts(self) -> int:
        """Requests to engines that one request becomes at most."""
        return self.drafts * (1 + self.rounds) + 1 if self.mode == "debate" else self.drafts

    @property
    def needed(self) -> int:
        """Drafts without which there is no answer."""
        return self.quorum or self.drafts // 2 + 1

    def leads_to(self) -> tuple[str, ...]:
        """Every model that it names."""
        return (*self.agents, *([self.judge] if self.judge else []))

    def problems(self) -> list[str]:
        """What does not fit together, each with its path below `contemplate`."""
        problems = []
        if self.drafts < 2:
            problems.append("agents: one draft is no choice; ask for two or more")
        if self.mode == "debate" and self.judge is None:
            problems.append("judge: a debate needs one; name a model, or write `mode: majority`")
        if self.mode == "majority":
            for name in ("judge", "rounds"):
                if name in self.model_fields_set and getattr(self, name) is not None:
                    problems.append(f"{name}: a majority has none; drop it, or write `mode: debate`")
        if self.max_tokens < self.parts:
            problems.append(f"maxTokens: {self.max_tokens} for {self.parts} parts; each needs one at least")
        if self.needed > self.drafts:
            problems.append(f"quorum: {self.needed} of {self.drafts} drafts can never be")
        return problems
