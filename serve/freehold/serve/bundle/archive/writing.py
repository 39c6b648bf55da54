"""Writing an archive: each piece is read, hashed, compressed and appended; what is written is noted, to go on from."""

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import zstandard

from freehold.core.errors import EnvironmentProblem, IntegrityError
from freehold.core.store.digest import READ_BYTES
from freehold.serve.bundle.archive.frames import FRAME_BYTES, Frame, table_bytes
from freehold.serve.bundle.archive.layout import Entry, Piece, pieces
from freehold.serve.bundle.archive.parts import PartsWriter

CHECKPOINT_BYTES = 64 << 20
"""Of the archive that a kill or a power cut may cost."""
MAX_THREADS = 4


class Journal:
    """Frames that are in the archive for certain, a line each."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: list[Frame] = []

    def frames(self) -> list[Frame]:
        """What it holds; a torn last line does not count."""
        if not self._path.is_file():
            return []
        whole, _, _ = self._path.read_text().rpartition("\n")
        return [Frame(*map(int, line.split())) for line in whole.splitlines()]

    def restart(self, frames: list[Frame]) -> None:
        """Hold these and no others."""
        self._waiting = list(frames)
        self._path.unlink(missing_ok=True)
        self.save()

    def add(self, frame: Frame) -> None:
        self._waiting.append(frame)

    @property
    def waiting_bytes(self) -> int:
        return sum(frame.compressed for frame in self._waiting)

    def save(self) -> None:
        """Make durable what was added; the archive itself has to be before."""
        with self._path.open("a") as stream:
            stream.writelines(f"{frame.compressed} {frame.raw}\n" for frame in self._waiting)
            stream.flush()
            os.fsync(stream.fileno())
        self._waiting = []


class ArchiveWriter:
    """Writes entries to an archive, from the beginning or from where a killed process stopped."""

    def __init__(
        self, output: Path, journal: Path, *, part_bytes: int | None, level: int, piece_bytes: int = FRAME_BYTES
    ) -> None:
        self._parts = PartsWriter(output, part_bytes)
        self._journal = Journal(journal)
        self._level = level
        self._piece_bytes = piece_bytes
        self._todo: list[Piece] = []
        self._done = 0

    def begin(self, entries: tuple[Entry, ...], modified_at: int) -> int:
        """Make ready to write these; returns how many bytes of the tar are in the archive already.

        The journal has to be of the same entries.
        """
        self._todo = list(pieces(entries, self._piece_bytes, modified_at))
        self._done = self._take_up(self._todo)
        return sum(piece.size_bytes for piece in self._todo[: self._done])

    def finish(self, advance: Callable[[int], None]) -> list[tuple[Path, str]]:
        """Write what is missing; returns the files of the archive, each with its SHA-256.

        `advance` is told of bytes of the tar as they are done. Raises IntegrityError, with its path, for a file that is
        not what its entry says, and EnvironmentProblem for a full disk.
        """
        frames = self._journal.frames()
        try:
            for data in _compressed(_checked(self._todo, self._done), self._level):
                raw = self._todo[len(frames)].size_bytes
                self._parts.write(data)
                frames.append(Frame(len(data), raw))
                self._journal.add(frames[-1])
                if self._journal.waiting_bytes >= CHECKPOINT_BYTES:
                    self._save()
                advance(raw)
            self._save()
            self._parts.write(table_bytes(frames))
            return self._parts.finish()
        except OSError as error:
            raise EnvironmentProblem(
                f"{self._parts.output} cannot be written",
                why=error.strerror or str(error),
                next_step="Make room, then run the same command again: it goes on where it stopped.",
            ) from error
        finally:
            self._parts.close()

    def _take_up(self, todo: list[Piece]) -> int:
        """How many pieces are written already; everything after them is dropped."""
        frames = self._journal.frames()
        fits = len(frames) <= len(todo) and all(
            frame.raw == piece.size_bytes for frame, piece in zip(frames, todo, strict=False)
        )
        if fits and self._parts.go_on_at(sum(frame.compressed for frame in frames), lambda count: None):
            self._journal.restart(frames)
            return len(frames)
        self._journal.restart([])
        self._parts.go_on_at(0, lambda count: None)
        return 0

    def _save(self) -> None:
        self._parts.sync()
        self._journal.save()


def _checked(todo: list[Piece], done: int) -> Iterator[bytes]:
    """The pieces from `done` on, each file hashed and held against its entry."""
    digest = hashlib.sha256()
    if done < len(todo) and (first := todo[done]).entry is not None:
        for start in range(0, first.offset, READ_BYTES):
            digest.update(first.entry.content.read(start, min(READ_BYTES, first.offset - start)))
    for piece in islice(todo, done, None):
        if piece.entry is None:
            yield piece.before
            continue
        if piece.offset == 0:
            digest = hashlib.sha256()
        data = _read(piece.entry, piece.offset, piece.count)
        digest.update(data)
        if piece.is_last and digest.hexdigest() != piece.entry.sha256:
            raise _differs(piece.entry, f"sha256 {digest.hexdigest()[:12]}… instead of {piece.entry.sha256[:12]}…")
        yield piece.before + data + piece.after


def _read(entry: Entry, offset: int, count: int) -> bytes:
    try:
        data = entry.content.read(offset, count)
    except OSError as error:
        raise _differs(entry, error.strerror or str(error)) from error
    if len(data) != count:
        raise _differs(entry, f"{offset + len(data)} bytes instead of {entry.size_bytes}")
    return data


def _differs(entry: Entry, how: str) -> IntegrityError:
    return IntegrityError(
        f"{entry.path} is not what was recorded of it",
        why=f"{entry.content.file or 'made here'}: {how}",
        next_step="Run `freehold store verify`, mend what differs, then the same command again.",
    )


def _compressed(blocks: Iterator[bytes], level: int) -> Iterator[bytes]:
    """Each block as a frame; the next one is read and hashed while this one is compressed."""
    compressor = zstandard.ZstdCompressor(
        level=level, write_checksum=True, threads=min(MAX_THREADS, os.cpu_count() or 1)
    )
    with ThreadPoolExecutor(1) as reader:
        coming: Future[bytes | None] = reader.submit(next, blocks, None)
        while (block := coming.result()) is not None:
            coming = reader.submit(next, blocks, None)
            yield compressor.compress(block)
