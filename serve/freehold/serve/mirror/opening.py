"""Opening a file that the lineage names, and nothing else: no link on the way is followed."""

import os
from io import FileIO
from pathlib import Path

from freehold.core.errors import IntegrityError, RefusedError
from freehold.core.store import FileRecord

_STEP = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


def open_served(folder: Path, record: FileRecord) -> FileIO:
    """Open one file of an artifact for reading.

    Walks from folder to folder by descriptor, so that a link planted in between, even at this moment, leads nowhere.
    Raises RefusedError (a link, or no plain file), IntegrityError (gone, or of another size).
    """
    *folders, name = record.path.split("/")
    if any(part in ("", ".", "..") for part in (*folders, name)):
        raise RefusedError(f"{record.path!r} leads out of its artifact")
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in folders:
            at = _enter(at, part)
        descriptor = os.open(name, _STEP, dir_fd=at)
    except FileNotFoundError as error:
        raise IntegrityError(f"{record.path} is missing in {folder}") from error
    except OSError as error:
        raise RefusedError(f"{record.path} is not served", why="a link or no plain file is in its place") from error
    finally:
        os.close(at)
    stream = FileIO(descriptor, "rb")
    if os.fstat(descriptor).st_size != record.size_bytes:
        stream.close()
        raise IntegrityError(f"{record.path} differs from its lineage", why="its size has changed")
    return stream


def _enter(at: int, part: str) -> int:
    inner = os.open(part, _STEP | os.O_DIRECTORY, dir_fd=at)
    os.close(at)
    return inner
