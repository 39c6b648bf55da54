"""What a scorer is: its own schema, what it asks of a prompt, and how it scores an answer."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import Field, field_validator

from freehold.core.config import ConfigModel
from freehold.evaluate.prompts.prompt import Prompt
from freehold.evaluate.results.record import Score
from freehold.evaluate.targets.endpoint import Endpoint
from freehold.evaluate.targets.reply import Reply


@dataclass(frozen=True)
class Sample:
    """An answer to be scored."""

    prompt: Prompt
    target: str
    number: int
    reply: Reply
    others: Mapping[str, Reply]
    """What all targets said to this prompt, by name, this one included."""


class Unscorable(Exception):
    """What the answer is held against is not there: its target was skipped."""


class Ask(Protocol):
    """Asks an endpoint of the run: from the journal, the cache or the wire, within the budget."""

    @property
    def judge(self) -> Endpoint | None:
        """The suite's judge."""
        ...

    async def __call__(
        self, name: str, endpoint: Endpoint, path: str, body: dict[str, Any], *, sample: int = 0
    ) -> Reply:
        """An answer, for `name` to keep apart what different parts ask. Raises RemoteError when there is none."""
        ...


@dataclass(frozen=True)
class Extra:
    """A request that scoring one answer will make, for the estimate."""

    endpoint: Endpoint
    body: dict[str, Any]


class Scorer(ConfigModel):
    """What every kind has."""

    only: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Slices whose prompts it scores, for example `{task: [extract, sum]}`; all of them by default."""

    @field_validator("only", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        return {name: (given,) if isinstance(given, str) else given for name, given in value.items()}

    def applies(self, prompt: Prompt) -> bool:
        """Whether it scores answers to this prompt."""
        return all(prompt.slices.get(name) in values for name, values in self.only.items())

    def lack(self, prompt: Prompt) -> str:
        """What keeps it from scoring answers to this prompt, for a list of problems; empty when nothing does."""
        return ""

    def obstacle(self) -> str:
        """What keeps it from scoring on this machine; empty when nothing does."""
        return ""

    def extras(self, prompt: Prompt, answer_tokens: int, judge: Endpoint | None) -> list[Extra]:
        """Requests that it makes for an answer of so many tokens."""
        return []

    @abstractmethod
    async def score(self, sample: Sample, ask: Ask) -> Score:
        """Score an answer. Raises RemoteError where it asks a model that does not answer, Unscorable."""


def verdict(is_right: bool, expected: object, came: object) -> Score:
    """1 or 0, and the line that says why."""
    sign = "as expected" if is_right else "expected"
    why = f"{sign}: {shortened(expected)}" + ("" if is_right else f"; came: {shortened(came)}")
    return Score(value=float(is_right), why=why)


def shortened(value: object, longest: int = 160) -> str:
    """A value on one line."""
    text = " ".join(str(value).split())
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
