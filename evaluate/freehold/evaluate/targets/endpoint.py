"""The schema of what can be asked: a model behind an OpenAI-compatible API."""

from urllib.parse import urlsplit

from pydantic import Field, field_validator

from freehold.core.config import ConfigModel, SecretRef, without_version

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Prices(ConfigModel):
    """A list price, in the suite's currency per million tokens."""

    input: float = Field(ge=0)
    """Of prompt tokens."""
    output: float = Field(ge=0)
    """Of generated tokens."""
    cached: float | None = Field(default=None, ge=0)
    """Of prompt tokens that came from the provider's cache; none is the price of the others."""


class Endpoint(ConfigModel):
    """A model of a gateway, or of any upstream that speaks OpenAI's API."""

    base_url: str = Field(pattern=r"^https?://")
    """Root that ends before `/v1`, for example `http://127.0.0.1:8000`; a trailing `/v1` is dropped."""
    model: str = Field(min_length=1)
    """Name that it knows the model by."""
    api_key_from: SecretRef | None = None
    """Where its API key is, for example `{env: OPENAI_API_KEY}`."""
    prices: Prices | None = None
    """What its tokens cost; without it there is no cost and no cap in money."""
    concurrency: int = Field(default=4, ge=1)
    """Requests at once."""
    timeout_s: float = Field(default=600.0, gt=0)
    """How long an answer may take."""
    retries: int = Field(default=5, ge=0)
    """How often a request is sent again after 429, 5xx and lost connections."""
    backoff_s: float = Field(default=1.0, gt=0)
    """Wait before the first of them; doubles each time. `Retry-After` counts where it is longer."""
    backoff_limit_s: float = Field(default=60.0, gt=0)
    """Longest wait."""

    @field_validator("base_url")
    @classmethod
    def _root(cls, value: str) -> str:
        return without_version(value)

    @property
    def is_loopback(self) -> bool:
        """Whether it is on this machine."""
        return urlsplit(self.base_url).hostname in _LOOPBACK
