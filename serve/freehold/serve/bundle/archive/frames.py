"""Zstandard's seekable format: independent frames, and a table of their sizes in a frame that decoders skip.

The format is contrib/seekable_format/zstd_seekable_compression_format.md of https://github.com/facebook/zstd.
"""

import struct
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

FRAME_BYTES = 32 << 20
"""Of content in one frame: what is lost of the work when a create is killed, and read again to go on."""
_SKIPPABLE = 0x184D2A5E
_SEEKABLE = 0x8F92EAB1
_HEAD = struct.Struct("<II")
_ENTRY = struct.Struct("<II")
_FOOT = struct.Struct("<IBI")
FOOT_BYTES = _FOOT.size


@dataclass(frozen=True)
class Frame:
    """Sizes of one frame in bytes."""

    compressed: int
    raw: int


def table_bytes(frames: Sequence[Frame]) -> bytes:
    """The skippable frame with the table, which ends the file."""
    entries = b"".join(_ENTRY.pack(frame.compressed, frame.raw) for frame in frames)
    foot = _FOOT.pack(len(frames), 0, _SEEKABLE)
    return _HEAD.pack(_SKIPPABLE, len(entries) + len(foot)) + entries + foot


def table_size(foot: bytes) -> int | None:
    """Bytes of the whole table, by its last ones; None if they are not those of a table."""
    if len(foot) != FOOT_BYTES:
        return None
    count, descriptor, magic = _FOOT.unpack(foot)
    if magic != _SEEKABLE or descriptor != 0:
        return None
    return int(_HEAD.size + count * _ENTRY.size + FOOT_BYTES)


def read_table(data: bytes) -> list[Frame] | None:
    """The frames of a table; None if it is damaged."""
    if len(data) < _HEAD.size + FOOT_BYTES:
        return None
    magic, size = _HEAD.unpack_from(data)
    if magic != _SKIPPABLE or size != len(data) - _HEAD.size or table_size(data[-FOOT_BYTES:]) != len(data):
        return None
    return [Frame(*pair) for pair in _ENTRY.iter_unpack(data[_HEAD.size : -FOOT_BYTES])]


class FrameMap:
    """From an offset in the tar to the frame that holds it."""

    def __init__(self, frames: Sequence[Frame]) -> None:
        self.frames = frames
        self._raw = [0, *accumulate(frame.raw for frame in frames)]
        self._compressed = [0, *accumulate(frame.compressed for frame in frames)]

    @property
    def raw_bytes(self) -> int:
        return self._raw[-1]

    @property
    def compressed_bytes(self) -> int:
        return self._compressed[-1]

    def at(self, offset: int) -> tuple[int, int]:
        """Number of the frame that holds this offset of the tar, and the offset in it."""
        number = bisect_right(self._raw, offset) - 1
        return number, offset - self._raw[number]

    def compressed_offset(self, number: int) -> int:
        return self._compressed[number]
