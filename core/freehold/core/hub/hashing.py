"""Hashing in a thread of its own, so that the next block is received while the last one is hashed."""

import hashlib
import queue
import threading
from dataclasses import dataclass
from pathlib import Path

from freehold.core.store.digest import READ_BYTES

BATCH_BYTES = 1 << 20
"""Blocks travel to the thread in batches: waking it for every 64 KiB that a socket gives costs as much as hashing."""
QUEUED_BATCHES = 16
"""Enough to ride out a busy core; at most 16 MiB per file wait in memory."""


@dataclass(frozen=True)
class Digests:
    sha256: str
    git_blob_sha1: str | None


class ParallelHash:
    """SHA-256, and the git blob id if asked for, over `already` bytes of a file and then every block added.

    hashlib releases the GIL for blocks over 2 KiB, so the thread really runs beside the receiver.
    """

    def __init__(self, path: Path, *, already: int, size_bytes: int, git_blob: bool) -> None:
        self._sha256 = hashlib.sha256()
        self._sha1 = hashlib.sha1(f"blob {size_bytes}\0".encode(), usedforsecurity=False) if git_blob else None
        self._batches: queue.Queue[list[bytes | memoryview] | None] = queue.Queue(QUEUED_BATCHES)
        self._batch: list[bytes | memoryview] = []
        self._batch_bytes = 0
        self._error: OSError | None = None
        self._abandoned = False
        self._read_all = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(path, already), name="freehold-hash", daemon=True)
        self._thread.start()

    def add(self, block: bytes | memoryview) -> None:
        """Hash `block` soon; it must not change afterwards. Blocks while the queue is full."""
        self._batch.append(block)
        self._batch_bytes += len(block)
        if self._batch_bytes >= BATCH_BYTES:
            self._hand_over()

    def caught_up(self, timeout_s: float) -> bool:
        """Whether the bytes that were on disk already are hashed, waiting for it at most so long."""
        return self._read_all.wait(timeout_s)

    def result(self) -> Digests:
        """Wait until all is hashed. Raises OSError if the bytes on disk could not be read."""
        self._hand_over()
        self._end()
        if self._error:
            raise self._error
        return Digests(self._sha256.hexdigest(), self._sha1.hexdigest() if self._sha1 else None)

    def abandon(self) -> None:
        """End the thread without hashing what is left; nothing happens after `result`."""
        self._abandoned = True
        self._end()

    def _hand_over(self) -> None:
        self._batches.put(self._batch)
        self._batch, self._batch_bytes = [], 0

    def _end(self) -> None:
        if self._thread.is_alive():
            self._batches.put(None)
            self._thread.join()

    def _run(self, path: Path, already: int) -> None:
        try:
            self._read(path, already)
        except OSError as error:
            # Kept for `result`; the queue is drained all the same, or the receiver would wait on it for ever.
            self._error = error
        self._read_all.set()
        while (batch := self._batches.get()) is not None:
            for block in batch:
                if self._error is None and not self._abandoned:
                    self._update(block)

    def _read(self, path: Path, already: int) -> None:
        with path.open("rb", buffering=0) as stream:
            while already > 0 and not self._abandoned:
                block = stream.read(min(READ_BYTES, already))
                if not block:
                    raise OSError(f"{path} lost {already} bytes while it was read")
                self._update(block)
                already -= len(block)

    def _update(self, block: bytes | memoryview) -> None:
        self._sha256.update(block)
        if self._sha1:
            self._sha1.update(block)
