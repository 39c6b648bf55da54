"""What a source promises: the files of one immutable revision of a model."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RemoteFile:
    """A file as the source promises it. At least its size is known before it is fetched."""

    path: str
    """POSIX path below the artifact's folder; never absolute, never with `..`."""
    size_bytes: int
    sha256: str | None = None
    """Promised SHA-256 (large files on a hub, manifests)."""
    git_blob_sha1: str | None = None
    """Promised git blob id (small files on a hub): SHA-1 over `blob <size>\\0` and the content."""


@dataclass(frozen=True)
class Snapshot:
    """One immutable revision of a model at its source."""

    kind: str
    location: str
    revision: str
    commit: str
    files: tuple[RemoteFile, ...]
    license: str = ""

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.location}@{self.commit}"

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)
