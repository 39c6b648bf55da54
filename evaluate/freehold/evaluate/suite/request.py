"""What a request says beside its messages."""

from typing import Any

from pydantic import Field, field_validator

from freehold.core.config import ConfigModel

OURS = ("model", "messages", "stream", "stream_options", "n")
"""Fields that an evaluation sets itself, or has no use for: an answer is one message, told whole."""


class RequestParameters(ConfigModel):
    """Fields of the chat completion request; what is left out is the target's default."""

    temperature: float | None = Field(default=None, ge=0)
    """0 is greedy."""
    top_p: float | None = Field(default=None, gt=0, le=1)
    """Share of the probability that is sampled from."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Most tokens of an answer. A budget needs it."""
    seed: int | None = None
    """Of sampling; the sample's number is added."""
    stop: tuple[str, ...] | None = None
    """Strings that end an answer."""
    response_format: dict[str, Any] | None = None
    """As the API has it, for example `{type: json_object}`."""
    tools: tuple[dict[str, Any], ...] | None = None
    """As the API has them, for prompts that bring none."""
    tool_choice: str | dict[str, Any] | None = None
    """As the API has it."""
    extra: dict[str, Any] = Field(default_factory=dict)
    """Any other field of the body, by the API's name; null takes a field out that the suite sets."""

    @field_validator("extra")
    @classmethod
    def _not_ours(cls, value: dict[str, Any]) -> dict[str, Any]:
        if taken := [name for name in value if name in OURS]:
            raise ValueError(f"{', '.join(taken)} cannot be set: an answer is one message, told whole")
        return value

    def fields(self) -> dict[str, Any]:
        """The body's fields by the API's names; None takes one out."""
        named = self.model_dump(mode="json", exclude={"extra"}, exclude_none=True)
        return named | self.extra
