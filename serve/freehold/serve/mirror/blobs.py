"""Git's and Git LFS's names for a file, which hubs use as ETags and clients as cache keys."""

import hashlib
from pathlib import PurePosixPath

from freehold.core.store import FileRecord
from freehold.serve.mirror.catalogue import Revision
from freehold.serve.mirror.opening import open_served

LFS_BYTES = 1 << 20
"""Larger files count as LFS whatever their name: their SHA-256 is known, their git id would cost a read."""
LFS_SUFFIXES = {".safetensors", ".gguf", ".bin", ".pt", ".pth", ".onnx", ".model", ".h5", ".msgpack"}


def is_lfs(record: FileRecord) -> bool:
    return record.size_bytes > LFS_BYTES or PurePosixPath(record.path).suffix in LFS_SUFFIXES


def lfs_pointer(record: FileRecord) -> bytes:
    """What git itself stores for an LFS file (https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md)."""
    return (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{record.sha256}\nsize {record.size_bytes}\n"
    ).encode()


def git_object_id(kind: str, content: bytes) -> str:
    """Git's id of an object: SHA-1 over its kind, its length and its content."""
    return hashlib.sha1(f"{kind} {len(content)}\0".encode() + content, usedforsecurity=False).hexdigest()


class BlobIds:
    """Git ids of files; a small file is read for it once. May be called from several threads."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def find(self, revision: Revision, record: FileRecord) -> str:
        """The git blob id: of the pointer for an LFS file, else of the content."""
        if is_lfs(record):
            return git_object_id("blob", lfs_pointer(record))
        if record.sha256 not in self._known:
            with open_served(revision.artifact.path, record) as stream:
                self._known[record.sha256] = git_object_id("blob", stream.read())
        return self._known[record.sha256]

    def etag(self, revision: Revision, record: FileRecord) -> str:
        """What the Hub gives as ETag: SHA-256 of an LFS file, git blob id of any other."""
        return record.sha256 if is_lfs(record) else self.find(revision, record)
