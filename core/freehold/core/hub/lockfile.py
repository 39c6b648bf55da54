"""`freehold.lock`: what each pulled model resolved to, every file with size and SHA-256; meant to be committed."""

from collections.abc import Iterable
from pathlib import Path

from filelock import FileLock
from pydantic import BaseModel, ConfigDict, ValidationError

from freehold.core.errors import ConfigError, IntegrityError
from freehold.core.hub.snapshot import Snapshot
from freehold.core.store import FileRecord
from freehold.core.store.atomic import write_atomically

LOCK_FILE = "freehold.lock"


class LockedModel(BaseModel):
    """One model as it was pulled."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    location: str
    revision: str
    commit: str
    files: tuple[FileRecord, ...]


class LockContent(BaseModel):
    """The whole file; models by the name they were pulled under."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = 1
    models: dict[str, LockedModel] = {}


def read_lock(path: Path) -> LockContent:
    """The lock, empty if there is no file. Raises ConfigError if it is not a lock."""
    if not path.is_file():
        return LockContent()
    try:
        return LockContent.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ConfigError(
            f"{path} is not a lock that this version reads",
            [str(error)],
            next_step="Restore it from version control, or delete it and pull again.",
        ) from error


def update_lock(path: Path, model: str, locked: LockedModel) -> None:
    """Add or replace one model. Two processes may do this at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.guard")):
        content = read_lock(path)
        if content.models.get(model) == locked:
            return
        models = dict(sorted((content.models | {model: locked}).items()))
        updated = content.model_copy(update={"models": models})
        write_atomically(path, updated.model_dump_json(indent=2).encode() + b"\n")


def require_locked(path: Path, model: str) -> LockedModel:
    """The locked model. Raises ConfigError when the lock does not name it."""
    content = read_lock(path)
    if model not in content.models:
        raise ConfigError(
            f"{path} does not lock {model!r}",
            [f"it locks {', '.join(content.models) or 'nothing'}"],
            next_step=f"Run `freehold pull {model}` once without --locked and commit the lock.",
        )
    return content.models[model]


def check_promises(path: Path, locked: LockedModel, snapshot: Snapshot) -> None:
    """Before a byte is fetched: refuse any file that the source promises otherwise than the lock."""
    expected = {record.path: record for record in locked.files}
    promised = {file.path: file for file in snapshot.files}
    problems = [f"{name}: no longer at the source" for name in expected if name not in promised]
    for name, record in expected.items():
        file = promised.get(name)
        if file and file.size_bytes != record.size_bytes:
            problems.append(f"{name}: {file.size_bytes} bytes, locked at {record.size_bytes}")
        elif file and file.sha256 and file.sha256 != record.sha256:
            problems.append(f"{name}: sha256 {file.sha256}, locked at {record.sha256}")
    # A folder has no commit that means anything on another machine.
    if snapshot.kind != "path" and snapshot.commit != locked.commit:
        problems.append(f"commit {snapshot.commit}, locked at {locked.commit}")
    _refuse(path, problems)


def check_received(path: Path, locked: LockedModel, received: Iterable[FileRecord]) -> None:
    """After the fetch: refuse any file whose content is not the locked one, missing or extra."""
    expected = {record.path: record for record in locked.files}
    found = {record.path: record for record in received}
    problems = [f"{name}: locked, but not there" for name in expected.keys() - found.keys()]
    problems += [f"{name}: not in the lock" for name in found.keys() - expected.keys()]
    for name in sorted(expected.keys() & found.keys()):
        if found[name].sha256 != expected[name].sha256:
            problems.append(f"{name}: sha256 {found[name].sha256}, locked at {expected[name].sha256}")
    _refuse(path, problems)


def _refuse(path: Path, problems: list[str]) -> None:
    if problems:
        raise IntegrityError(
            f"The source differs from {path}",
            why="\n" + "\n".join(f"  - {problem}" for problem in problems),
            next_step="If the change is wanted, pull without --locked and review the lock's diff.",
        )
