"""Where each member lies in the tar: known before a byte is read, so that any part of it can be made at any time."""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BLOCK_BYTES = tarfile.BLOCKSIZE
END = bytes(2 * BLOCK_BYTES)
"""With which a tar ends."""


@dataclass(frozen=True)
class Content:
    """Where a member's bytes are: a file that stays where it is, or a few bytes made here."""

    file: Path | None = None
    data: bytes = b""

    def read(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes from `offset`. Raises OSError."""
        if self.file is None:
            return self.data[offset : offset + count]
        with self.file.open("rb", buffering=0) as stream:
            stream.seek(offset)
            blocks = []
            while count and (block := stream.read(count)):
                blocks.append(block)
                count -= len(block)
            return b"".join(blocks)


@dataclass(frozen=True)
class Entry:
    """One member of the tar."""

    path: str
    size_bytes: int
    sha256: str
    content: Content


def header_of(path: str, size_bytes: int, modified_at: int) -> bytes:
    """A member's blocks before its content; what ustar cannot say (long names, 8 GiB and more) is in pax records."""
    info = tarfile.TarInfo(path)
    info.size = size_bytes
    info.mtime = modified_at
    return info.tobuf(tarfile.PAX_FORMAT)


def padding(size_bytes: int) -> int:
    """Bytes after the content, up to a whole block."""
    return -size_bytes % BLOCK_BYTES


@dataclass(frozen=True)
class Piece:
    """A stretch of the tar that becomes one frame. Pieces never reach over the end of their member."""

    entry: Entry | None
    """None for the end of the tar."""
    before: bytes
    """Header, in the member's first piece."""
    offset: int
    """In the content."""
    count: int
    """Of the content's bytes."""
    after: bytes
    """Padding, in the member's last piece."""

    @property
    def size_bytes(self) -> int:
        return len(self.before) + self.count + len(self.after)

    @property
    def is_last(self) -> bool:
        """Whether the member is whole after it."""
        return self.entry is not None and self.offset + self.count == self.entry.size_bytes


def pieces(entries: tuple[Entry, ...], piece_bytes: int, modified_at: int) -> Iterator[Piece]:
    """The whole tar, in order; the same entries make the same pieces."""
    for entry in entries:
        header, offset = header_of(entry.path, entry.size_bytes, modified_at), 0
        while True:
            count = min(piece_bytes, entry.size_bytes - offset)
            is_last = offset + count == entry.size_bytes
            yield Piece(entry, header, offset, count, bytes(padding(entry.size_bytes)) if is_last else b"")
            header, offset = b"", offset + count
            if is_last:
                break
    yield Piece(None, END, 0, 0, b"")
