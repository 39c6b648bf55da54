"""The HTTP front: `gateway`."""

from pydantic import Field

from freehold.serve.config.base import ConfigModel


class GatewayConfig(ConfigModel):
    """The HTTP front."""

    host: str = "127.0.0.1"
    """Address to listen on; `0.0.0.0` is every IPv4 address of the machine."""
    port: int = Field(default=8000, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""
    max_body_bytes: int = Field(default=64 * 1024 * 1024, gt=0)
    """Larger request bodies are refused with a 400; images and audio travel in bodies."""
    drain_timeout_s: float = Field(default=30.0, ge=0)
    """On SIGTERM, how long running requests may take to finish."""
