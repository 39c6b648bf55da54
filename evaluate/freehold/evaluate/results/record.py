"""One answer of one target to one prompt, and how it was scored."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA = 1

Outcome = Literal["answered", "refused", "failed", "skipped"]
"""`refused`: the target answered 4xx, so it cannot do this; `failed`: it did not answer after every retry; `skipped`:
the budget was spent. A refused or failed prompt counts as unsolved; a skipped one counts nowhere, and is told."""


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Usage(_Line):
    """Tokens of one answer, as the target counted them."""

    prompt: int = Field(ge=0)
    completion: int = Field(ge=0)
    """Reasoning included, where the target bills it."""
    cached: int = Field(default=0, ge=0)
    """How many of the prompt's it had in its cache."""


class Score(_Line):
    """What one scorer found."""

    value: float = Field(ge=0, le=1)
    """1 is right; between the two lies what a rubric or a similarity says."""
    why: str = ""
    """One line for who reads the report: what was expected, and what came."""
    details: dict[str, str] = Field(default_factory=dict)
    """What a scorer has to say besides: a judge's two verdicts, which its agreement is counted from."""


class Answered(_Line):
    """A line of `answers.jsonl`."""

    schema_version: int = SCHEMA
    suite: str
    prompt: str
    """Identifier of the prompt, stable over runs: the suite's own, or a digest of its content."""
    slices: dict[str, str] = Field(default_factory=dict)
    """What kind of prompt it is, for example `{language: de, task: extract}`."""
    target: str
    """Name of what answered, as the suite or the command line calls it."""
    sample: int = Field(default=0, ge=0)
    """Which of several answers to the same prompt, from 0."""
    outcome: Outcome
    answer: str = ""
    """The text; tool calls and the like are in `message`."""
    message: dict[str, Any] = Field(default_factory=dict)
    """The assistant's message as the API gave it."""
    error: str = ""
    """Why there is no answer."""
    fingerprint: str = ""
    """`system_fingerprint` of what answered."""
    usage: Usage | None = None
    latency_s: float | None = None
    """From the request to the answer's end; None for one that came from the cache of an earlier run without it."""
    cost: float | None = None
    """In the suite's currency; None where no price is known."""
    scores: dict[str, Score] = Field(default_factory=dict)
    """By scorer; empty where there was nothing to score."""

    @property
    def score(self) -> float | None:
        """The mean of its scorers, 0 for what was refused or failed, None for what was skipped."""
        if self.outcome == "skipped":
            return None
        if self.outcome != "answered" or not self.scores:
            return 0.0
        return sum(one.value for one in self.scores.values()) / len(self.scores)
