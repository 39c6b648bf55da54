"""Reading an archive: members in order, each from any offset, and damage told with the name of the member."""

import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path
from types import TracebackType
from typing import Any

import zstandard

from freehold.core.errors import IntegrityError
from freehold.serve.bundle.archive.frames import FOOT_BYTES, FrameMap, read_table, table_size
from freehold.serve.bundle.archive.layout import header_of, padding
from freehold.serve.bundle.archive.parts import PartsReader, find_parts

READ_BYTES = 1 << 20


class DamagedFrame(Exception):
    """A frame that does not decompress, or not to what the table says; `part` is the file that it lies in."""

    def __init__(self, part: Path) -> None:
        super().__init__(f"it is damaged in {part.name}")
        self.part = part


class _TarStream(RawIOBase):
    """The tar inside, as a file that `tarfile` can seek in."""

    def __init__(self, parts: PartsReader, frames: FrameMap) -> None:
        super().__init__()
        self._parts = parts
        self._frames = frames
        self._offset = 0
        self._number = -1
        self._position = 0
        """In the open frame."""
        self._reader: Any = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._offset

    def seek(self, offset: int, whence: int = 0) -> int:
        base = {0: 0, 1: self._offset, 2: self._frames.raw_bytes}[whence]
        self._offset = base + offset
        return self._offset

    def read(self, count: int = -1) -> bytes:
        """Up to `count` bytes, over the ends of frames. Raises DamagedFrame."""
        if count < 0:
            count = self._frames.raw_bytes - self._offset
        blocks = []
        while count > 0 and self._offset < self._frames.raw_bytes:
            block = self._read_of_frame(count)
            blocks.append(block)
            count -= len(block)
            self._offset += len(block)
        return b"".join(blocks)

    def _read_of_frame(self, count: int) -> bytes:
        number, position = self._frames.at(self._offset)
        frame = self._frames.frames[number]
        start = self._frames.compressed_offset(number)
        if number != self._number or position < self._position:
            self._number, self._position = number, 0
            source = _Slice(self._parts, start, frame.compressed)
            decompressor: Any = zstandard.ZstdDecompressor()  # its types ask for more of a source than it uses
            self._reader = decompressor.stream_reader(source, read_size=READ_BYTES)
        try:
            while self._position < position:
                self._position += len(self._some(min(READ_BYTES, position - self._position)))
            block = self._some(min(count, frame.raw - position))
            self._position += len(block)
            if self._position == frame.raw and self._reader.read(1):
                raise zstandard.ZstdError("the frame is longer than the table says")
        except zstandard.ZstdError as error:
            self._number = -1
            raise DamagedFrame(self._parts.part_at(start)) from error
        return block

    def _some(self, count: int) -> bytes:
        """At least one byte of the open frame; the read past its last one checks its checksum."""
        block: bytes = self._reader.read(count)
        if not block:
            raise zstandard.ZstdError("the frame is shorter than the table says")
        return block


class _Slice(RawIOBase):
    """The bytes of one frame."""

    def __init__(self, parts: PartsReader, offset: int, count: int) -> None:
        super().__init__()
        self._parts = parts
        self._offset = offset
        self._left = count

    def read(self, count: int = -1) -> bytes:
        wanted = self._left if count < 0 else min(count, self._left)
        data = self._parts.read_at(self._offset, wanted)
        self._offset += len(data)
        self._left -= len(data)
        return data


@dataclass(frozen=True)
class ArchivedFile:
    """One member, at the place where the layout puts it."""

    path: str
    size_bytes: int
    _stream: _TarStream
    _start: int
    """Of its header in the tar."""
    _header: bytes

    def blocks(self, offset: int = 0) -> Iterator[bytes]:
        """Its content from an offset on. Raises IntegrityError with its path where the archive is damaged."""
        try:
            if offset == 0:
                self._check_header()
            self._stream.seek(self._start + len(self._header) + offset)
            left = self.size_bytes - offset
            while left > 0:
                block = self._stream.read(min(READ_BYTES, left))
                if not block:
                    raise damaged(self.path, "the archive ends in it")
                left -= len(block)
                yield block
            # The padding ends the member's last frame; reading it reads that frame's checksum.
            self._stream.read(padding(self.size_bytes))
        except DamagedFrame as error:
            raise damaged(self.path, str(error)) from error

    def _check_header(self) -> None:
        """What other tools go by has to say the same."""
        self._stream.seek(self._start)
        if self._stream.read(len(self._header)) != self._header:
            raise damaged(self.path, "its header in the tar is another file's")


class Archive:
    """An archive that is open for reading."""

    def __init__(self, path: Path) -> None:
        """By its name or that of its first part. Raises NotFoundError, IntegrityError when its end is missing."""
        self._reader = PartsReader(find_parts(path))
        try:
            self._stream = _TarStream(self._reader, self._frames(path))
        except BaseException:
            self._reader.close()
            raise

    def _frames(self, path: Path) -> FrameMap:
        total = self._reader.size_bytes
        last = self._reader.parts[-1]
        size = table_size(self._reader.read_at(max(0, total - FOOT_BYTES), FOOT_BYTES))
        if size is None:
            raise IntegrityError(
                f"{last} is not the end of a bundle",
                why="it was cut off, a part after it is missing, or it is something else",
                next_step="Copy it again, and compare with the .sha256 file beside the original.",
            )
        found = read_table(self._reader.read_at(max(0, total - size), size))
        frames = FrameMap(found or [])
        if found is None or frames.compressed_bytes != total - size:
            raise IntegrityError(
                f"{path}: its table of frames does not fit",
                why="a part is missing or doubled, or bytes near the end are damaged",
                next_step="Compare the parts with the .sha256 file beside the original.",
            )
        return frames

    @property
    def parts(self) -> list[Path]:
        return self._reader.parts

    @property
    def size_bytes(self) -> int:
        """Of the files of the archive."""
        return self._reader.size_bytes

    def read_member(self, path: str, start: int, limit_bytes: int) -> tuple[bytes, int]:
        """Content of the member at this place of the tar, and where the next one begins. Raises IntegrityError.

        For the first ones, before there is an index to say how long they are.
        """
        try:
            self._stream.seek(start)
            info = tarfile.TarInfo.frombuf(self._stream.read(tarfile.BLOCKSIZE), "utf-8", "surrogateescape")
            if info.name != path or info.size > limit_bytes:
                raise damaged(path, f"{info.name!r} of {info.size} bytes is in its place")
            data = self._stream.read(info.size)
            self._stream.read(padding(info.size))
        except DamagedFrame as error:
            raise damaged(path, str(error)) from error
        except tarfile.TarError as error:
            raise damaged(path, f"there is no tar header in its place ({error})") from error
        if len(data) != info.size:
            raise damaged(path, "the archive ends in it")
        return data, start + tarfile.BLOCKSIZE + info.size + padding(info.size)

    def files(self, members: Iterable[tuple[str, int]], modified_at: int, start: int) -> Iterator[ArchivedFile]:
        """Members by path and size, in their order from `start` on: nothing is read for it."""
        for path, size in members:
            header = header_of(path, size, modified_at)
            yield ArchivedFile(path, size, self._stream, start, header)
            start += len(header) + size + padding(size)

    def close(self) -> None:
        self._reader.close()

    def __enter__(self) -> "Archive":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def damaged(path: str, how: str) -> IntegrityError:
    """What is told of a member that is not what it should be."""
    return IntegrityError(
        f"{path} is damaged in the bundle",
        why=how,
        next_step="Compare the bundle's files with the .sha256 file beside the original, and copy what differs again.",
    )
