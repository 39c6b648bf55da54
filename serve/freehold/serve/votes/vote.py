"""One vote, as it is sent and as it is kept."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Name = Annotated[str, Field(min_length=1, max_length=256)]
Message = dict[str, Any]
TOLD_ELSEWHERE = ("model", "messages", "tools", "stream", "stream_options", "n")
"""Fields of a request that a vote has in places of their own, or that an evaluation sets itself."""


class Choice(BaseModel):
    """One of the answers."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    model: Name
    """What was sent as "model"."""
    message: Message
    """The assistant's message, as the API gave it."""


class NewVote(BaseModel):
    """What somebody thinks of several answers to one prompt."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    messages: Annotated[tuple[Message, ...], Field(min_length=1)]
    """All that the models were sent, the system prompt included."""
    tools: tuple[dict[str, Any], ...] = ()
    request: dict[str, Any] = {}
    """Other fields of the request: temperature, response_format, …"""
    choices: Annotated[tuple[Choice, ...], Field(min_length=2, max_length=4)]
    """In the order in which they were shown."""
    verdict: Literal["best", "tie", "none"]
    """`none`: no answer is good."""
    best: Name | None = None
    """Whose answer is the best one, if one is."""
    blind: bool
    """Whether the names were hidden until the vote."""

    @model_validator(mode="after")
    def _is_one_of_them(self) -> "NewVote":
        if taken := [name for name in self.request if name in TOLD_ELSEWHERE]:
            raise ValueError(f"request sets {', '.join(taken)}")
        models = [choice.model for choice in self.choices]
        if len(set(models)) < len(models):
            raise ValueError("choices name a model twice")
        if (self.verdict == "best") != (self.best is not None):
            raise ValueError("`best` names a model exactly if the verdict is `best`")
        if self.best is not None and self.best not in models:
            raise ValueError(f"best is none of {', '.join(models)}")
        return self


class Vote(NewVote):
    """A line of `votes.jsonl`."""

    id: str
    at: float
    """Epoch seconds."""
    voter: str
    """As the audit log calls them."""
