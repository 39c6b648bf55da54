"""One stream of bytes in one file or in several: `site.tar.zst`, or `site.tar.zst.000`, `.001` and so on."""

import hashlib
import os
import re
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from types import TracebackType

from freehold.core.errors import IntegrityError, NotFoundError
from freehold.core.store.atomic import fsync_folder
from freehold.core.store.digest import READ_BYTES

UNFINISHED = ".unfinished"
"""Ends the name of a part while the archive is not whole."""
_NUMBERED = re.compile(r"\.\d{3,}$")


class PartsWriter:
    """Appends to parts of a size, which get their names when everything is written."""

    def __init__(self, output: Path, part_bytes: int | None) -> None:
        self.output = output
        self._part_bytes = part_bytes
        self._digests: list[hashlib._Hash] = []
        self._stream: FileIO | None = None
        self.offset = 0

    def part_name(self, number: int) -> str:
        return self.output.name if self._part_bytes is None else f"{self.output.name}.{number:03d}"

    def _unfinished(self, number: int) -> Path:
        return self.output.with_name(self.part_name(number) + UNFINISHED)

    def go_on_at(self, offset: int, advance: Callable[[int], None]) -> bool:
        """Drop what is beyond `offset`, and hash what is before; False if that is not there."""
        left, number = offset, 0
        while left or number == 0:
            path = self._unfinished(number)
            size = left if self._part_bytes is None else min(left, self._part_bytes)
            if not path.is_file():
                if offset:
                    return False
                path.touch()
            if path.stat().st_size < size:
                return False
            os.truncate(path, size)
            self._digests.append(_digest_of(path, advance))
            left -= size
            number += 1
        kept = {self._unfinished(each) for each in range(number)}
        for path in set(unfinished_parts(self.output)) - kept:
            path.unlink()
        self.offset = offset
        self._open(number - 1)
        return True

    def _open(self, number: int) -> None:
        self.close()
        self._stream = self._unfinished(number).open("ab", buffering=0)
        while len(self._digests) <= number:
            self._digests.append(hashlib.sha256())

    def write(self, data: bytes) -> None:
        """Append, going over to the next part where one is full. Raises OSError."""
        view = memoryview(data)
        while view:
            number = len(self._digests) - 1
            room = len(view)
            if self._part_bytes is not None:
                room = self._part_bytes * (number + 1) - self.offset
                if room == 0:
                    self.sync()
                    self._open(number + 1)
                    continue
            assert self._stream is not None, "opened by go_on_at"
            block = view[:room]
            written = self._stream.write(block)
            self._digests[-1].update(block[:written])
            self.offset += written
            view = view[written:]

    def sync(self) -> None:
        """Make everything written so far durable."""
        assert self._stream is not None, "opened by go_on_at"
        os.fsync(self._stream.fileno())

    def finish(self) -> list[tuple[Path, str]]:
        """Give the parts their names; each with its SHA-256."""
        self.sync()
        self.close()
        found = []
        for number, digest in enumerate(self._digests):
            final = self.output.with_name(self.part_name(number))
            os.replace(self._unfinished(number), final)
            found.append((final, digest.hexdigest()))
        fsync_folder(self.output.parent)
        return found

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def _digest_of(path: Path, advance: Callable[[int], None]) -> "hashlib._Hash":
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as stream:
        while block := stream.read(READ_BYTES):
            digest.update(block)
            advance(len(block))
    return digest


def unfinished_parts(output: Path) -> list[Path]:
    """Files of a writer of this archive that has not ended."""
    pattern = re.compile(re.escape(output.name) + r"(\.\d{3,})?" + re.escape(UNFINISHED))
    return sorted(path for path in output.parent.glob(f"*{UNFINISHED}") if pattern.fullmatch(path.name))


def find_parts(path: Path) -> list[Path]:
    """The files of an archive, by the name of it or of its first part. Raises NotFoundError, IntegrityError on gaps."""
    if path.is_file() and not _NUMBERED.search(path.name):
        return [path]
    whole = path.with_name(_NUMBERED.sub("", path.name))
    numbered = {
        int(found.name.rpartition(".")[2]): found
        for found in whole.parent.glob(f"{whole.name}.*")
        if found.name.removeprefix(whole.name + ".").isdigit()
    }
    if not numbered:
        unfinished = unfinished_parts(whole)
        raise NotFoundError(
            f"No bundle {path}",
            why=f"{unfinished[0].name} is of a `bundle create` that has not ended" if unfinished else "",
            next_step="Run that command again, and it goes on." if unfinished else "Name the file, or its first part.",
        )
    missing = sorted(set(range(max(numbered))) - numbered.keys())
    if missing:
        raise IntegrityError(
            f"{whole.name}.{missing[0]:03d} is missing",
            why=f"there are parts up to {max(numbered):03d} in {whole.parent.absolute()}",
            next_step="Copy all parts into one folder.",
        )
    return [numbered[number] for number in sorted(numbered)]


class PartsReader:
    """Parts read as one file, at any offset."""

    def __init__(self, parts: list[Path]) -> None:
        self.parts = parts
        self._streams = [part.open("rb", buffering=0) for part in parts]
        self._sizes = [part.stat().st_size for part in parts]
        self.size_bytes = sum(self._sizes)

    def read_at(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes; fewer at the end alone. Raises OSError."""
        blocks = []
        for stream, size in zip(self._streams, self._sizes, strict=True):
            if count and offset < size:
                stream.seek(offset)
                block = stream.read(min(count, size - offset))
                blocks.append(block)
                count -= len(block)
                offset += len(block)
            offset -= size
            if not count:
                break
        return b"".join(blocks)

    def part_at(self, offset: int) -> Path:
        """The file that holds this offset."""
        for part, size in zip(self.parts, self._sizes, strict=True):
            if offset < size:
                return part
            offset -= size
        return self.parts[-1]

    def close(self) -> None:
        for stream in self._streams:
            stream.close()

    def __enter__(self) -> "PartsReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
