"""The suite: `freehold evaluate SUITE.yaml`, one schema. snake_case here, camelCase in the file."""

from typing import Annotated

from pydantic import Field

from freehold.core.config import ConfigModel
from freehold.evaluate.scorers.registry import AnyScorer
from freehold.evaluate.suite.request import RequestParameters
from freehold.evaluate.suite.sources import PromptSource
from freehold.evaluate.targets.endpoint import Endpoint, Prices

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
"""What a suite, a scorer or a target may be called."""

Name = Annotated[str, Field(pattern=NAME)]


class Target(Endpoint):
    """What is evaluated."""

    request: RequestParameters = RequestParameters()
    """Wins over the suite's and the prompt's, for this target."""


class RecordedTarget(ConfigModel):
    """What answered when the prompts were recorded. It is not asked again."""

    source: str = Field(default="answer", pattern=r"^(answer|shadow:.+)$")
    """`answer` is what the client got, `shadow:<model>` what that model said to the gateway's copy."""
    prices: Prices | None = None
    """What its tokens cost."""


class Budget(ConfigModel):
    """What a run may use, the judge and embeddings included."""

    tokens: int | None = Field(default=None, ge=1)
    """Prompt and generated tokens together."""
    money: float | None = Field(default=None, gt=0)
    """In the suite's currency."""


class Suite(ConfigModel):
    """What is asked, of whom, how it is scored and what it may cost."""

    name: Name
    prompts: tuple[PromptSource, ...] = Field(min_length=1)
    """Where prompts come from."""
    request: RequestParameters = RequestParameters()
    """What every request says beside its messages."""
    samples: int = Field(default=1, ge=1)
    """Answers to each prompt, of each target."""
    scorers: dict[Name, AnyScorer] = Field(min_length=1)
    """By a name of one's own; the mean of those that apply is a prompt's score."""
    slices: tuple[str, ...] | None = None
    """Which slices the tables show; none is every one that prompts name."""
    targets: dict[Name, Target] = Field(default_factory=dict)
    """What is asked; `--target` adds to them."""
    from_record: dict[Name, RecordedTarget] = Field(default_factory=dict)
    """What is not asked but read from the record, beside prompts with `replay`."""
    baseline: Name | None = None
    """The target that the others would replace; with one, a run ends with a verdict and a report."""
    margin: float = Field(default=0.03, gt=0, lt=1)
    """How much of the baseline's mean score, from 0 to 1, a replacement may lose."""
    solved_at: float = Field(default=1.0, gt=0, le=1)
    """Score from which on a prompt counts as solved, for tokens and money per solved prompt."""
    judge: Endpoint | None = None
    """The model that scorers of kind `rubric` ask."""
    budget: Budget = Budget()
    """Caps; none by default."""
    currency: str = Field(default="EUR", pattern=r"^[A-Z]{3}$")
    """Of every price and amount (ISO 4217)."""
    seed: int = Field(default=0, ge=0)
    """Of the order of prompts, and of which ones a `limit` takes."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of all targets."""
        return (*self.targets, *self.from_record)

    def endpoints(self) -> dict[str, Endpoint]:
        """All that a run may ask, by the place where it is written."""
        asked: dict[str, Endpoint] = {f"targets.{name}": target for name, target in self.targets.items()}
        if self.judge:
            asked["judge"] = self.judge
        for name, scorer in self.scorers.items():
            if endpoint := getattr(scorer, "endpoint", None):
                asked[f"scorers.{name}.endpoint"] = endpoint
        return asked
