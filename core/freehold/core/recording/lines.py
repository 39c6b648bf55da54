"""Private files of JSON lines: appended to durably, readable after any crash."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

_FILE_MODE = 0o600
_FOLDER_MODE = 0o700


def private_folder(folder: Path) -> None:
    """Make the folder, for its owner alone; one that is open to others is closed to them."""
    folder.mkdir(parents=True, exist_ok=True, mode=_FOLDER_MODE)
    if folder.stat().st_mode & 0o777 != _FOLDER_MODE:
        folder.chmod(_FOLDER_MODE)


def append_lines(path: Path, data: bytes) -> None:
    """Append whole lines, durable on return; all of them or none. Raises OSError. Safe for several processes."""
    private_folder(path.parent)
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, _FILE_MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:
                _append(descriptor, data)
                return
            # Deleted between our open and our lock: what we wrote there would be lost.
        finally:
            os.close(descriptor)


def _append(descriptor: int, data: bytes) -> None:
    status = os.fstat(descriptor)
    if status.st_mode & 0o777 != _FILE_MODE:
        os.fchmod(descriptor, _FILE_MODE)
    # A process that was killed in mid-write left a torn line: the next one starts afresh.
    is_torn = status.st_size > 0 and os.pread(descriptor, 1, status.st_size - 1) != b"\n"
    rest = memoryview(b"\n" + data if is_torn else data)
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, status.st_size)
        raise


def delete_file(path: Path) -> None:
    """Delete it, but never under the hands of somebody who is appending."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def read_lines(path: Path, size_bytes: int) -> Iterator[bytes]:
    """The lines of the file's first `size_bytes`, empty ones left out; none if the file was deleted meanwhile."""
    try:
        stream = path.open("rb")
    except FileNotFoundError:
        return
    with stream:
        while size_bytes > 0 and (line := stream.readline(size_bytes)):
            size_bytes -= len(line)
            if line.strip():
                yield line
