"""Keeps usage from a client that did not ask for it, in a stream that was made to tell."""

import msgspec

from freehold.serve.gateway.edit import without_field

_USAGE = b'"usage"'
_HELD_BYTES = 64 * 1024
"""A usage event is a few hundred bytes: of a longer one, nothing needs to be held back."""


class UsageHider:
    """Passes on whole events, without those that tell usage only; everything else stays byte for byte."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = b""

    def pass_on(self, chunk: bytes) -> bytes:
        """What the client gets now; nothing if the chunk ends no event, or said nothing else."""
        if self._held:
            chunk, self._held = self._held + chunk, b""
        if not chunk.endswith(b"\n\n"):
            chunk = self._up_to_last_event(chunk)
        return _without_usage(chunk) if _USAGE in chunk else chunk

    def rest(self) -> bytes:
        """What is left when the stream has ended."""
        return self._held

    def _up_to_last_event(self, chunk: bytes) -> bytes:
        if chunk.endswith(b"\r\n\r\n"):
            return chunk
        ends = (chunk.rfind(gap) + len(gap) for gap in (b"\n\n", b"\r\n\r\n") if gap in chunk)
        end = max(ends, default=0)
        if len(chunk) - end > _HELD_BYTES:
            return chunk
        self._held = chunk[end:]
        return chunk[:end]


def _without_usage(chunk: bytes) -> bytes:
    gap = b"\r\n\r\n" if b"\r\n\r\n" in chunk else b"\n\n"
    events = ((event, _kept(event)) for event in chunk.split(gap))
    return gap.join(kept for event, kept in events if kept or not event)


def _kept(event: bytes) -> bytes:
    """The event without its usage; nothing if it tells nothing else."""
    if _USAGE not in event or not event.startswith(b"data:"):
        return event
    text = event[5:].strip()
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return event
    if not isinstance(document, dict) or "usage" not in document:
        return event
    if document["usage"] is not None and document.get("choices") == []:
        return b""
    return b"data: " + without_field(text.decode(), "usage").encode()
