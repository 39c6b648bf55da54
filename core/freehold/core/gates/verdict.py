"""What a gate found out about an artifact."""

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

GateName = Literal["parity", "quality"]


class Verdict(BaseModel):
    """One judgement of one artifact by one gate. Kept beside the store's artifacts, never inside them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gate: GateName
    artifact: str
    """Id of the artifact that was judged."""
    passed: bool
    reasons: tuple[str, ...] = ()
    """Why it did not pass, a sentence each, the cause first."""
    measurements: dict[str, Any] = Field(default_factory=dict)
    """Numbers behind it; names carry their unit."""
    limits: dict[str, float] = Field(default_factory=dict)
    """What the measurements were held against."""
    versions: dict[str, str] = Field(default_factory=dict)
    """Versions of the engine and packages that took part."""
    judged_at: datetime = Field(default_factory=lambda: datetime.now(UTC))
