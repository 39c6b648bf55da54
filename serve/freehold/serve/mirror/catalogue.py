"""Which repositories, revisions and files the mirror offers, read from the lineages in the store."""

import logging
import re
from dataclasses import dataclass
from pathlib import Path

from freehold.core.errors import IntegrityError
from freehold.core.store import LINEAGE_FILE, Artifact, FileRecord, Store
from freehold.core.store.lineage import read_lineage

OWNER = "freehold"
"""Every artifact is offered as `freehold/<name>`, wherever it came from."""
MAIN = "main"

_COMMIT = re.compile(r"[0-9a-f]{40}")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Revision:
    """One artifact as one repository shows it."""

    repo: str
    artifact: Artifact
    commit: str
    """40 hex digits; clients name their cache folders after it."""

    @property
    def files(self) -> dict[str, FileRecord]:
        return {record.path: record for record in self.artifact.lineage.files}


@dataclass(frozen=True)
class Repo:
    """All artifacts that go by one repository id, oldest first."""

    id: str
    artifacts: tuple[Artifact, ...]

    def revision(self, name: str) -> Revision | None:
        """`main` (the newest), an artifact id, a content commit, or the source's own commit or revision."""
        for artifact in reversed(self.artifacts):
            if name == MAIN or name in self._names(artifact):
                # A client that asks for a commit files the answer under that very commit.
                commit = name if _COMMIT.fullmatch(name) else self._commit(artifact)
                return Revision(self.id, artifact, commit)
        return None

    @property
    def main(self) -> Revision:
        newest = self.artifacts[-1]
        return Revision(self.id, newest, self._commit(newest))

    def tags(self) -> dict[str, str]:
        """Every other name of a revision and its commit."""
        return {
            name: self._commit(artifact)
            for artifact in self.artifacts
            for name in sorted(self._names(artifact))
            if name != MAIN and not _COMMIT.fullmatch(name)
        }

    def _names(self, artifact: Artifact) -> set[str]:
        names = {artifact.id, content_commit(artifact)}
        source = artifact.lineage.source
        if source and self._is_original(artifact):
            names |= {source.commit, source.revision} - {""}
        return names

    def _commit(self, artifact: Artifact) -> str:
        source = artifact.lineage.source
        if source and self._is_original(artifact) and _COMMIT.fullmatch(source.commit):
            return source.commit
        return content_commit(artifact)

    def _is_original(self, artifact: Artifact) -> bool:
        return original_repo(artifact) == self.id


def content_commit(artifact: Artifact) -> str:
    """A commit id for what no git repository holds: the first 40 hex digits of the content digest."""
    return artifact.lineage.digest[:40]


def original_repo(artifact: Artifact) -> str | None:
    """The hub repository whose bytes these are; None after any step, for then they are others."""
    source = artifact.lineage.source
    if source is None or source.kind != "hub" or artifact.lineage.steps or artifact.lineage.parents:
        return None
    return source.location


class Catalogue:
    """The store as repositories. Sees what is added or removed at the next request."""

    def __init__(self, store: Store) -> None:
        self._folder = store.root / "artifacts"
        self._read: dict[Path, tuple[int, Artifact | None]] = {}

    def repos(self) -> dict[str, Repo]:
        grouped: dict[str, list[Artifact]] = {}
        for artifact in self._artifacts():
            for repo in {f"{OWNER}/{artifact.name}", original_repo(artifact)} - {None}:
                grouped.setdefault(str(repo), []).append(artifact)
        return {repo: Repo(repo, tuple(artifacts)) for repo, artifacts in sorted(grouped.items())}

    def _artifacts(self) -> list[Artifact]:
        lineages = self._folder.glob(f"*/{LINEAGE_FILE}")
        seen = {path.parent: path.stat().st_mtime_ns for path in lineages}
        for folder, changed_ns in seen.items():
            if self._read.get(folder, (None, None))[0] != changed_ns:
                self._read[folder] = (changed_ns, _read(folder))
        found = [self._read[folder][1] for folder in seen]
        self._read = {folder: self._read[folder] for folder in seen}
        readable = [artifact for artifact in found if artifact is not None]
        return sorted(readable, key=lambda artifact: (artifact.lineage.created_at, artifact.id))


def _read(folder: Path) -> Artifact | None:
    try:
        return Artifact(folder, read_lineage(folder))
    except IntegrityError as error:
        # One damaged artifact must not take the others off the air; `freehold store verify` explains it.
        _log.warning("not served: %s", error)
        return None
