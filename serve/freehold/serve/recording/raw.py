"""What the relay hands over: bytes as they came, names and times; nothing is parsed on the event loop."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from freehold.core.recording import Kind, new_id

_CHUNK_OVERHEAD_BYTES = 64
"""A bytes object's own size and its place in the list: as much again as a small event."""


@dataclass(slots=True)
class RawExchange:
    """One exchange on a route with `record`, after its end. Nothing in it may be changed once it was offered."""

    route: str
    """The name in the request's `model`, which the recorder has a policy for."""
    model: str
    """The target that answered, `<upstream>/<model>` for a closed one; a shadow's own target for a shadow."""
    endpoint: str
    """The path, as in `Endpoint.path`."""
    started_unix_s: float
    """Wall clock (`time.time()`) of the request's arrival; it decides the day's file."""
    status: int
    """What the client saw, as in `Exchange.status`."""
    latency_s: float
    """From arrival to the answer's last byte, of the monotonic clock."""
    request: bytes
    """The client's body, before the model's name was replaced."""
    response: Sequence[bytes]
    """The answer's body in the pieces it came in: the relay's own chunks, kept by reference."""
    ttft_s: float | None = None
    """From arrival to the first bytes of the answer's body."""
    content_type: bytes = b"application/json"
    """The answer's content-type: `text/event-stream…` is put together, all else taken whole."""
    content_encoding: bytes = b""
    """The answer's content-encoding; gzip and deflate are undone."""
    key_id: str = ""
    """Identifier of the caller's key; never the key."""
    team: str = ""
    kind: Kind = "answer"
    truncated: bool = False
    """The answer broke off: the client left, or the engine was lost. What the stream itself shows need not be said."""
    fingerprint: str = ""
    """Of the engine that answered."""
    shadow_of: str | None = None
    """For a shadow: `id` of the answer that the client got."""
    id: str = field(default="")
    """Made from the time of arrival. A shadow may be offered before its answer: take the answer's with `new_id`."""

    def __post_init__(self) -> None:
        if not self.id:
            self.id = new_id(self.started_unix_s)

    @property
    def size_bytes(self) -> int:
        """About what it holds of memory."""
        chunks = self.response
        return len(self.request) + sum(map(len, chunks)) + _CHUNK_OVERHEAD_BYTES * (len(chunks) + 8)
