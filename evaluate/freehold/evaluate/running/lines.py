"""A file of JSON lines that is appended to, and mended when it is opened."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from freehold.core.errors import EnvironmentProblem, IntegrityError


class LineFile:
    """Appends whole lines. Opening it takes off a last line that a killed process left torn."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        whole = _whole_bytes(self._descriptor)
        if whole != os.fstat(self._descriptor).st_size:
            os.ftruncate(self._descriptor, whole)

    def append(self, document: dict[str, Any], *, durable: bool = False) -> None:
        """Add a line; `durable` outlives a power cut, any line outlives the process. Raises EnvironmentProblem."""
        size = os.fstat(self._descriptor).st_size
        rest = memoryview(to_line(document))
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            if durable:
                os.fsync(self._descriptor)
        except OSError as error:
            os.ftruncate(self._descriptor, size)
            why = error.strerror or str(error)
            raise EnvironmentProblem(f"{self.path} cannot be written", why=why, next_step="Resume the run.") from error

    def __enter__(self) -> "LineFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)


def to_line(document: dict[str, Any]) -> bytes:
    """One line of JSON. A lone surrogate, which JSON can escape, has no UTF-8: it becomes a question mark."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Every whole line; nothing where there is no file. Raises IntegrityError for one in the midst that is no JSON."""
    if not path.exists():
        return
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                yield json.loads(line)
            except ValueError as error:
                raise IntegrityError(f"{path}:{number} is no line of a run", why=str(error)) from error


def _whole_bytes(descriptor: int) -> int:
    """Bytes up to the end of the last whole line."""
    end = os.fstat(descriptor).st_size
    while end:
        start = max(0, end - 65536)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
