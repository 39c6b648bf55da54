"""What came of asking."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from freehold.evaluate.results.record import Usage


class Reply(BaseModel):
    """An answer, a refusal, or the end of every retry."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    outcome: Literal["answered", "refused", "failed"]
    body: dict[str, Any] = Field(default_factory=dict)
    """`message` of a chat completion, `embedding` of an embeddings request."""
    error: str = ""
    fingerprint: str = ""
    usage: Usage | None = None
    latency_s: float | None = None
    """From sending the request that was answered to its answer's end."""

    @property
    def message(self) -> dict[str, Any]:
        """The assistant's message."""
        found: dict[str, Any] = self.body.get("message") or {}
        return found

    @property
    def text(self) -> str:
        """The answer's text; empty where it only calls tools."""
        content = self.message.get("content")
        return content if isinstance(content, str) else ""
