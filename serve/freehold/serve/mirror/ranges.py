"""Which bytes a request asks for (RFC 9110, sections 13 and 14)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_SINGLE = re.compile(r"bytes=\s*(\d*)-(\d*)\s*")


@dataclass(frozen=True)
class Span:
    """Bytes `start` to `stop`, the last one excluded."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        return self.stop - self.start

    def content_range(self, size_bytes: int) -> str:
        return f"bytes {self.start}-{self.stop - 1}/{size_bytes}"


class UnsatisfiableRangeError(Exception):
    """The range begins behind the end: status 416."""


def requested_span(headers: Mapping[str, str], size_bytes: int, etag: str) -> Span | None:
    """The single range asked for; None means the whole file.

    As the RFC allows, several ranges at once and malformed ones are ignored; so is any range whose If-Range names
    another content. Raises UnsatisfiableRangeError.
    """
    match = _SINGLE.fullmatch(headers.get("Range", ""))
    condition = headers.get("If-Range")
    if match is None or (condition is not None and condition != f'"{etag}"'):
        return None
    first, last = match.groups()
    if not first and not last:
        return None
    if not first:
        start, stop = max(size_bytes - int(last), 0), size_bytes
    else:
        start, stop = int(first), min(int(last) + 1, size_bytes) if last else size_bytes
        if last and int(last) < start:
            return None
    if start >= size_bytes:
        raise UnsatisfiableRangeError
    return Span(start, stop)


def is_unchanged(headers: Mapping[str, str], etag: str) -> bool:
    """Whether If-None-Match names this content: status 304."""
    given = headers.get("If-None-Match", "")
    names = {name.strip().removeprefix("W/") for name in given.split(",")}
    return "*" in names or f'"{etag}"' in names
