"""What a batch's lines were answered, as it comes: `<home>/batches/<id>.jsonl`, written at its end only.

One record is one line, `<crc32> <json>`, written in one go: a line's answer and what it used are there together or not
at all. That is what makes both exact after `kill -9`: a line that has a record is never asked again, and its usage is
counted from here, record by record.

A record may be torn by a kill or a full disk. Its checksum tells, and it counts for nothing.
"""

import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from freehold.core.store.atomic import fsync_folder
from freehold.serve.gateway.ledger import UsageEntry


class Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The answer to one line."""

    line: int
    is_success: bool
    answer: msgspec.Raw
    """As the output or the error file has it."""
    usage: list[UsageEntry]


class Placed(NamedTuple):
    """A record in the file."""

    record: Record
    start: int
    end: int


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Record).decode


class Journal:
    """The file. Appending takes a few microseconds; `sync` and `read` block."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = -1
        self.size_bytes = 0
        """Everything before it is whole, or passed over by readers."""

    def open(self) -> None:
        """Make it, or go on after what is there."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        fsync_folder(self.path.parent)
        self.size_bytes = os.fstat(self._descriptor).st_size
        if self.size_bytes and os.pread(self._descriptor, 1, self.size_bytes - 1) != b"\n":
            self._write(b"\n")  # what a kill has torn must not swallow the next record

    def append(self, record: Record) -> Placed:
        """Write it down; it survives this process from then on. Raises OSError, with nothing of it left to count."""
        payload = _encode(record)
        start = self.size_bytes
        self._write(b"%08x %b\n" % (zlib.crc32(payload), payload))
        return Placed(record, start, self.size_bytes)

    def _write(self, data: bytes) -> None:
        written = os.write(self._descriptor, data)
        if written != len(data):
            os.ftruncate(self._descriptor, self.size_bytes)
            raise OSError(f"the disk took {written} of {len(data)} bytes")
        self.size_bytes += written

    def sync(self) -> None:
        """Return when it survives a power cut too."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def read(self) -> Iterator[Placed]:
        """Every whole record, in its order."""
        position = 0
        with self.path.open("rb") as stream:
            for text in stream:
                start, position = position, position + len(text)
                if (record := _record(text)) is not None:
                    yield Placed(record, start, position)

    def at(self, start: int, end: int) -> Record:
        """The record there."""
        record = _record(os.pread(self._descriptor, end - start, start))
        assert record is not None, "it was whole before"
        return record


def _record(text: bytes) -> Record | None:
    """None for what is torn."""
    checksum, separator, payload = text[:8], text[8:9], text[9:-1]
    if separator != b" " or text[-1:] != b"\n" or b"%08x" % zlib.crc32(payload) != checksum:
        return None
    try:
        return _decode(payload)
    except msgspec.MsgspecError:
        return None
