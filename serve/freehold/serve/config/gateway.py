"""The HTTP front: `gateway`."""

from typing import Annotated, Literal

from pydantic import Field

from freehold.serve.config.base import ConfigModel, SecretRef
from freehold.serve.config.console import ConsoleConfig


class MediaConfig(ConfigModel):
    """Images, audio and video of requests; what one names by URL the gateway fetches, never the engine."""

    allowed_domains: tuple[Annotated[str, Field(pattern=r"^(\*\.)?[A-Za-z0-9.-]+$")], ...] = ()
    """Hosts that may be fetched from, for example `images.example.com` or `*.example.com`; none means no URL at all."""
    max_bytes: int = Field(default=20 * 1024 * 1024, gt=0)
    """Larger files are refused."""
    timeout_s: float = Field(default=10.0, gt=0)
    """How long one file may take."""
    max_pixels: int = Field(default=89_478_485, gt=0)
    """Width times height of an image, by its header; larger ones are refused before an engine unfolds them."""
    max_audio_s: float = Field(default=600.0, gt=0)
    """Length of a sound, by its header. vLLM itself takes 600 s, or `VLLM_MAX_AUDIO_DECODE_DURATION_S` of its `env`."""


class GatewayConfig(ConfigModel):
    """The HTTP front."""

    host: str = "127.0.0.1"
    """Address to listen on; `0.0.0.0` is every IPv4 address of the machine."""
    port: int = Field(default=8000, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""
    workers: int = Field(default=1, ge=1, le=256)
    """Processes that share the port; one fills one core. Limits of keys hold for all together; each judges canaries,
    bounds shadows and shares out engine time by its own requests, so costs by engine time are an upper bound."""
    spreading: Literal["prefix-affinity", "least-tokens", "least-requests", "round-robin"] = "prefix-affinity"
    """Which of a model's replicas in a cluster gets a request. `prefix-affinity`: the one that has read what the
    request begins with, as long as it has room; the others look at load alone, or at nothing."""
    auth: Literal["none", "keys"] = "none"
    """`keys` asks every request for a key of `freehold keys create`; `none` serves whoever reaches the port."""
    admin_key_from: SecretRef | None = None
    """A key for `/admin/v1` beside those in the database, for example `{env: FREEHOLD_ADMIN_KEY}`."""
    database: str | None = None
    """SQLAlchemy URL of keys, budgets and usage: `sqlite:///…` or `postgresql://…`; none means `gateway.db` in the data
    folder. Several replicas need PostgreSQL. `${NAME}` takes an environment variable, for passwords."""
    currency: str = Field(default="EUR", pattern=r"^[A-Z]{3}$")
    """Of every price in this file and every amount in reports (ISO 4217)."""
    log_format: Literal["text", "json"] = "text"
    """Form of the log on stderr; `json` is one object per line. Neither form holds prompts, answers or keys."""
    access_log: bool = False
    """Log a line per request: key id, model, route, path, status, duration and token counts."""
    media: MediaConfig = MediaConfig()
    """Fetching of what requests name by URL."""
    console: ConsoleConfig = ConsoleConfig()
    """The console at `/console`."""
    max_body_bytes: int = Field(default=64 * 1024 * 1024, gt=0)
    """Larger request bodies are refused with a 400; images and audio travel in bodies."""
    header_timeout_s: float = Field(default=10.0, gt=0)
    """How long a client may take to send a request's headers."""
    body_timeout_s: float = Field(default=60.0, gt=0)
    """How long a client may send nothing while its request's body is not whole."""
    drain_timeout_s: float = Field(default=30.0, ge=0)
    """On SIGTERM, how long running requests may take to finish."""
