"""An answer's bytes as they came, for its record."""

LIMIT_BYTES = 16 * 1024 * 1024
"""What is longer is recorded up to here, and marked as truncated."""


class Tape:
    """Keeps references to the relay's own chunks, up to a limit."""

    __slots__ = ("_room", "chunks")

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self._room = LIMIT_BYTES

    @property
    def is_full(self) -> bool:
        """Something did not fit."""
        return self._room < 0

    def append(self, chunk: bytes) -> None:
        """Keep the chunk, unless the limit is reached."""
        self._room -= len(chunk)
        if self._room >= 0:
            self.chunks.append(chunk)
