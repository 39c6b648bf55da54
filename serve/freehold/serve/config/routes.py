"""Names that are not models, and where they lead: `routes` and `upstreams`."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from freehold.serve.config.base import ConfigModel, SecretRef, without_version
from freehold.serve.config.contemplation import Contemplate

Target = Annotated[str, Field(min_length=1)]


class TokenPrice(ConfigModel):
    """A list price, in the gateway's currency per million tokens."""

    input: float = Field(ge=0)
    """Of prompt tokens."""
    output: float = Field(ge=0)
    """Of generated tokens."""


class Upstream(ConfigModel):
    """A closed provider. Requests reach it only by a route that names `<upstream>/<model>`."""

    base_url: str = Field(pattern=r"^https?://")
    """Root that ends before `/v1`; a trailing `/v1` is dropped."""
    api: Literal["openai", "anthropic"] = "openai"
    """Which paths it has: `anthropic` is `/v1/messages`, `openai` all others. It gets no request for the rest."""
    api_key_from: SecretRef | None = None
    """Where its API key is, for example `{env: OPENAI_API_KEY}`."""
    prices: dict[str, TokenPrice] = Field(default_factory=dict)
    """List price by its model names, for reports and money budgets."""

    @field_validator("base_url")
    @classmethod
    def _root(cls, value: str) -> str:
        return without_version(value)


class Canary(ConfigModel):
    """A share of the traffic for a newcomer, taken back when it does worse than the route's targets."""

    target: Target
    """Model that gets the share."""
    percent: float = Field(gt=0, lt=100)
    """Share of the route's requests."""
    max_error_rate: float = Field(default=0.05, ge=0, le=1)
    """Roll back when a larger share of its requests fails (5xx, lost connections, timeouts)."""
    max_latency_ratio: float = Field(default=2.0, gt=0)
    """Roll back when its median time to the first byte is more than this times that of the targets."""
    min_requests: int = Field(default=20, ge=1)
    """No verdict before so many requests of the window."""
    window_s: float = Field(default=300.0, gt=0)
    """Requests older than this do not count."""


class Shadow(ConfigModel):
    """A copy of a share of the traffic for a candidate; its answers go nowhere but to the record."""

    target: Target
    """Model that gets the copies."""
    percent: float = Field(default=100.0, gt=0, le=100)
    """Share of the route's requests."""
    max_concurrent: int = Field(default=4, ge=1)
    """More copies than this at once are dropped and counted."""
    timeout_s: float = Field(default=60.0, gt=0)
    """A copy that takes longer is given up."""


class Record(ConfigModel):
    """Keep prompts and answers, for replay and tuning."""

    percent: float = Field(default=100.0, gt=0, le=100)
    """Share of the route's requests."""
    redact: bool = False
    """Replace personal data before anything is written; needs the extra `redact`."""
    retention_days: int = Field(default=30, ge=1)
    """Older records are deleted."""


class Route(ConfigModel):
    """A name that clients send as "model", and what answers it."""

    strategy: Literal["targets", "contemplate"] = "targets"
    """What answers: one of the `targets`, or several models together, by `contemplate`."""
    targets: dict[Target, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    """Models by weight, for example `{qwen3-8b: 90, qwen3-14b: 10}`; `<upstream>/<model>` is a closed one. Required,
    but for a route that contemplates."""
    contemplate: Contemplate | None = None
    """Who contemplates, with `strategy: contemplate`: such a route has this and `record`, and nothing else."""
    sticky: Literal["key", "user", "none"] = "key"
    """What keeps to the same target: the caller's key, the request's `user` field (else the key), or nothing."""
    fallback: tuple[Target, ...] = ()
    """Tried in this order when a target cannot be reached, answers 5xx or 429, or is silent for too long."""
    first_byte_timeout_s: float | None = Field(default=None, gt=0)
    """How long a target may take to begin its answer before the next is tried; none means as long as it takes."""
    canary: Canary | None = None
    """A newcomer on trial."""
    shadow: Shadow | None = None
    """A candidate that gets copies."""
    record: Record | None = None
    """Whether prompts and answers are kept; they are not by default."""

    @field_validator("fallback", mode="before", json_schema_input_type=str | tuple[Target, ...])
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    def leads_to(self) -> tuple[str, ...]:
        """Every target that it names."""
        trials = tuple(part.target for part in (self.canary, self.shadow) if part)
        council = self.contemplate.leads_to() if self.contemplate else ()
        return (*self.targets, *self.fallback, *trials, *council)
