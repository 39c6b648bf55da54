"""Digests: of one file, and of an artifact as a whole."""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

READ_BYTES = 1 << 20
"""Large enough that hashlib releases the GIL for most of the work, small enough to stay in the cache."""


class FileRecord(BaseModel):
    """One file of an artifact: where it lies below the artifact's folder, its size and its SHA-256."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    size_bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


def hash_file(path: Path, advance: Callable[[int], None] | None = None) -> str:
    """Hex SHA-256 of a file; `advance` is told how many bytes each step read."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as stream:
        while block := stream.read(READ_BYTES):
            digest.update(block)
            if advance:
                advance(len(block))
    return digest.hexdigest()


def hash_folder(folder: Path) -> tuple[FileRecord, ...]:
    """A record of every file below a folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return tuple(
        FileRecord(path=path.relative_to(folder).as_posix(), size_bytes=path.stat().st_size, sha256=hash_file(path))
        for path in paths
    )


def content_digest(files: Iterable[FileRecord]) -> str:
    """Hex SHA-256 over the sorted paths, sizes and digests: the identity of an artifact's content."""
    digest = hashlib.sha256()
    for record in sorted(files, key=lambda record: record.path):
        digest.update(f"{record.path}\0{record.size_bytes}\0{record.sha256}\n".encode())
    return digest.hexdigest()
