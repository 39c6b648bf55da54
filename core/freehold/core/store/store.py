"""The store on disk: `artifacts/<id>/`, `verdicts/<id>/`, `signatures/<id>/`, `staging/<key>/`, `locks/`."""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from freehold.core.errors import NotFoundError, RefusedError, UserError
from freehold.core.store.artifact import Artifact
from freehold.core.store.atomic import fsync_folder, write_atomically
from freehold.core.store.digest import hash_file
from freehold.core.store.lineage import LINEAGE_FILE, Lineage, read_lineage
from freehold.core.store.staging import Staging, locked_staging
from freehold.core.store.usage import in_use, mark_in_use


@dataclass(frozen=True)
class FileProblem:
    """One way in which a stored file differs from its record."""

    path: str
    problem: str


class Store:
    """All artifacts below one root. Safe for several processes at once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._artifacts = root / "artifacts"
        self._staging = root / "staging"
        self._locks = root / "locks"

    # -- reading ---------------------------------------------------------------------------------------------------

    def artifacts(self) -> list[Artifact]:
        """Every artifact, oldest first."""
        if not self._artifacts.is_dir():
            return []
        folders = (folder for folder in self._artifacts.iterdir() if (folder / LINEAGE_FILE).is_file())
        found = [Artifact(folder, read_lineage(folder)) for folder in folders]
        return sorted(found, key=lambda artifact: (artifact.lineage.created_at, artifact.id))

    def find(self, reference: str) -> Artifact | None:
        """The artifact named by an id, a unique prefix of one, or a name (its newest artifact)."""
        artifacts = self.artifacts()
        for artifact in artifacts:
            if artifact.id == reference:
                return artifact
        named = [artifact for artifact in artifacts if artifact.name == reference or _source_is(artifact, reference)]
        if named:
            return named[-1]
        matches = [artifact for artifact in artifacts if artifact.id.startswith(reference)] if reference else []
        if len(matches) > 1:
            listed = ", ".join(artifact.id for artifact in matches)
            raise UserError(
                f"{reference!r} names {len(matches)} artifacts", why=listed, next_step="Type more of the id."
            )
        return matches[0] if matches else None

    def get(self, reference: str) -> Artifact:
        """Like `find`. Raises NotFoundError, listing what there is."""
        artifact = self.find(reference)
        if artifact is None:
            known = ", ".join(artifact.id for artifact in self.artifacts()) or "nothing yet"
            raise NotFoundError(
                f"No artifact {reference!r} in the store",
                why=f"the store holds {known}",
                next_step=f"Run `freehold pull {reference}` first, or see `freehold store list`.",
            )
        return artifact

    def find_by_source(self, key: str) -> Artifact | None:
        """The newest artifact that came straight from this source key (`SourceRecord.key`)."""
        for artifact in reversed(self.artifacts()):
            if artifact.lineage.source and artifact.lineage.source.key == key:
                return artifact
        return None

    def verify(self, artifact: Artifact, advance: Callable[[int], None] | None = None) -> list[FileProblem]:
        """Read every file again and list what differs from the lineage; empty when all is well."""
        problems = []
        for record in artifact.lineage.files:
            path = artifact.path / record.path
            if not path.is_file():
                problems.append(FileProblem(record.path, "missing"))
            elif path.stat().st_size != record.size_bytes:
                problems.append(FileProblem(record.path, f"{path.stat().st_size} bytes instead of {record.size_bytes}"))
            elif (found := hash_file(path, advance)) != record.sha256:
                problems.append(FileProblem(record.path, f"sha256 {found[:12]}… instead of {record.sha256[:12]}…"))
        recorded = {record.path for record in artifact.lineage.files} | {LINEAGE_FILE}
        for path in sorted(artifact.path.rglob("*")):
            name = path.relative_to(artifact.path).as_posix()
            if path.is_file() and name not in recorded:
                problems.append(FileProblem(name, "not in the lineage"))
        return problems

    # -- writing ---------------------------------------------------------------------------------------------------

    def staging(self, key: str, on_wait: Callable[[], None] | None = None) -> AbstractContextManager[Staging]:
        """The staging folder for a key, locked against every other process; it survives a kill."""
        slug = hashlib.sha256(key.encode()).hexdigest()[:24]
        return locked_staging(self._staging / slug, self._locks / f"staging-{slug}.lock", on_wait)

    def add(self, staging: Staging, lineage: Lineage) -> Artifact:
        """Move `staging.result` into the store under the lineage's id, in one rename.

        If the same content is there already, that artifact is returned and the staged one dropped.
        """
        target = self._artifacts / lineage.id
        if (target / LINEAGE_FILE).is_file():
            staging.discard()
            return Artifact(target, read_lineage(target))
        write_atomically(staging.result / LINEAGE_FILE, lineage.model_dump_json(indent=2).encode() + b"\n")
        self._artifacts.mkdir(parents=True, exist_ok=True)
        fsync_folder(staging.result)
        os.replace(staging.result, target)
        fsync_folder(self._artifacts)
        staging.discard()
        return Artifact(target, lineage)

    def update_lineage(self, artifact: Artifact, lineage: Lineage) -> Artifact:
        """Replace the lineage beside unchanged content (a probe computed later). Never changes id or files."""
        if (lineage.id, lineage.files) != (artifact.lineage.id, artifact.lineage.files):
            raise ValueError("an artifact's id and files never change")
        write_atomically(artifact.path / LINEAGE_FILE, lineage.model_dump_json(indent=2).encode() + b"\n")
        return Artifact(artifact.path, lineage)

    def remove(self, artifact: Artifact, *, force: bool = False) -> None:
        """Delete an artifact. Refuses one that is being served or that another was made from, unless forced."""
        if in_use(self._use_lock(artifact)):
            raise RefusedError(
                f"{artifact.id} is in use", why="an engine serves it", next_step="Stop that `freehold serve` first."
            )
        children = [other.id for other in self.artifacts() if artifact.id in other.lineage.parents]
        if children and not force:
            raise RefusedError(
                f"{artifact.id} has descendants",
                why=", ".join(children),
                next_step="Remove those first, or add --force to keep them without their parent.",
            )
        # The lineage goes first: a half-deleted folder is then no artifact, and gc clears the rest.
        (artifact.path / LINEAGE_FILE).unlink()
        shutil.rmtree(artifact.path)
        shutil.rmtree(self.verdict_folder(artifact.id), ignore_errors=True)
        shutil.rmtree(self.signature_folder(artifact.id), ignore_errors=True)

    def verdict_folder(self, artifact_id: str) -> Path:
        """Where gates keep their verdicts on an artifact (`freehold.core.gates`); it goes with the artifact."""
        return self.root / "verdicts" / artifact_id

    def signature_folder(self, artifact_id: str) -> Path:
        """Where signatures of an artifact are kept (`freehold.core.signing`); they go with the artifact."""
        return self.root / "signatures" / artifact_id

    @contextmanager
    def use(self, artifact: Artifact) -> Iterator[None]:
        """Hold while an engine serves the artifact, so that remove and gc leave it alone."""
        with mark_in_use(self._use_lock(artifact)):
            yield

    def is_in_use(self, artifact: Artifact) -> bool:
        return in_use(self._use_lock(artifact))

    # -- leftovers -------------------------------------------------------------------------------------------------

    def leftovers(self) -> list[Path]:
        """Folders that no process works on: staging whose lock is free, and artifacts without a lineage."""
        staged = [
            folder for folder in _folders(self._staging) if not in_use(self._locks / f"staging-{folder.name}.lock")
        ]
        broken = [folder for folder in _folders(self._artifacts) if not (folder / LINEAGE_FILE).is_file()]
        return staged + broken

    def superseded(self) -> list[Artifact]:
        """Artifacts with a newer one of the same name, not in use and not a parent of any other."""
        artifacts = self.artifacts()
        newest = {artifact.name: artifact.id for artifact in artifacts}
        parents = {parent for artifact in artifacts for parent in artifact.lineage.parents}
        return [
            artifact
            for artifact in artifacts
            if newest[artifact.name] != artifact.id and artifact.id not in parents and not self.is_in_use(artifact)
        ]

    def collect(self) -> None:
        """Delete what `leftovers` and `superseded` list, but for what somebody has begun to use meanwhile."""
        for folder in self.leftovers():
            lock = self._locks / f"staging-{folder.name}.lock"
            lock.parent.mkdir(parents=True, exist_ok=True)
            with suppress(Timeout), FileLock(lock, timeout=0):
                shutil.rmtree(folder)
        for artifact in self.superseded():
            self.remove(artifact)

    def _use_lock(self, artifact: Artifact) -> Path:
        return self._locks / f"use-{artifact.id}.lock"


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []


def _source_is(artifact: Artifact, reference: str) -> bool:
    source = artifact.lineage.source
    return source is not None and source.location == reference
