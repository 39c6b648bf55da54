"""How much and how slowly a client may send before its connection is closed."""

from dataclasses import dataclass

from freehold.serve.config import GatewayConfig

MAX_HEAD_BYTES = 32 * 1024
"""Of a request's headers with its request line; also of what may arrive in a body without being body."""
MAX_HEADERS = 256
MAX_TARGET_BYTES = 16 * 1024
"""Of the request line, which is its target and little else."""

HIGH_WATER_BYTES = 256 * 1024
"""More of a body than this waiting for the application, and the client is not read from."""

MAX_PIPELINED = 32
"""Requests that wait for their turn on one connection; with more it is not read from."""
MAX_PIPELINED_AT_ONCE = 1024
"""Tiny requests in one read could be fifteen thousand; nobody who means well sends that."""

MIN_BODY_RATE = 240
"""Bytes per second, averaged, after the first `body_timeout_s`. One byte each 59 s would hold a connection for ever
without being a stall. The figure is Kestrel's:
https://learn.microsoft.com/en-us/dotnet/api/microsoft.aspnetcore.server.kestrel.core.kestrelserverlimits
"""

KEEPALIVE_S = 75.0
"""Longer than the pools of the clients: the side that closes an idle connection first never loses a request."""

LINGER_S = 5.0
"""How long a refused client may take to hear of it: a close with bytes unread would reset the connection, and the
refusal with it."""

MAX_CONNECTIONS = 20_000


@dataclass(frozen=True)
class HttpLimits:
    """The limits that a deployment, or a test, sets."""

    header_timeout_s: float
    """From the first byte of a request, or from the connection's start, to the end of the headers."""
    body_timeout_s: float
    """Without a byte, while the body is not whole and the server reads."""
    keepalive_s: float = KEEPALIVE_S
    """Without a request, after an answer."""
    linger_s: float = LINGER_S
    max_connections: int = MAX_CONNECTIONS

    @classmethod
    def of(cls, config: GatewayConfig) -> "HttpLimits":
        return cls(config.header_timeout_s, config.body_timeout_s)

    @property
    def tick_s(self) -> float:
        """How often deadlines are looked at: a timer for each request would cost as much as parsing it."""
        return min(1.0, self.header_timeout_s / 4, self.body_timeout_s / 4, self.keepalive_s / 4, self.linger_s / 4)
