"""Making a bundle: gathered once, then written from where the last attempt stopped."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from freehold.core.errors import EnvironmentProblem, RefusedError
from freehold.core.progress import ByteBar
from freehold.core.settings import Settings
from freehold.core.signing import signatures
from freehold.core.store import LINEAGE_FILE, Artifact, Store, hash_file
from freehold.core.store.atomic import write_atomically
from freehold.serve.bundle.archive import ArchiveWriter, Content, Entry
from freehold.serve.bundle.config_files import config_files
from freehold.serve.bundle.gathering import BundleRequest, gather, index_record, sources_of
from freehold.serve.bundle.index import INDEX, SIGNATURE, STORE, WHEELS, BundleIndex, read_index
from freehold.serve.config import DeploymentConfig

PLAN = "plan.json"
JOURNAL = "journal"
MEMBERS = "members"
"""Folder of what was gathered, apart from the files above: a config may name a file as they are named."""


@dataclass(frozen=True)
class CreatedBundle:
    """What was written."""

    index: BundleIndex
    index_sha256: str
    files: list[tuple[Path, str]]
    """Of the archive, in order, each with its SHA-256."""
    checksums: Path
    """The file that `sha256sum --check` takes."""


def create_bundle(
    request: BundleRequest,
    output: Path,
    settings: Settings,
    store: Store,
    report: Callable[[str], None],
    *,
    part_bytes: int | None = None,
    level: int = 3,
    force: bool = False,
) -> CreatedBundle:
    """Write the bundle to `output`, or to `output.000` and so on where parts have a size.

    An interrupted one goes on, if nothing that it is made of has changed. Raises RefusedError when the output exists,
    ConfigError for what the config names and is not here, IntegrityError, with its name, for a file that is damaged.
    """
    config, named = sources_of(request, store)
    old = _existing(output)
    if old and not force:
        raise RefusedError(
            f"{old[0]} exists", why="a bundle is never written over", next_step="Name another, or add --force."
        )
    artifacts = [one.artifact for one in named]
    identity = _identity(request, config, artifacts, store, part_bytes, level)
    output.parent.mkdir(parents=True, exist_ok=True)
    with _working_folder(output) as folder, ExitStack() as held:
        for artifact in artifacts:
            held.enter_context(store.use(artifact))
        index = _planned(request, identity, settings, store, folder, report)
        members = folder / MEMBERS
        writer = ArchiveWriter(output, folder / JOURNAL, part_bytes=part_bytes, level=level)
        done = writer.begin(_entries(index, members, request, store), index.modified_at)
        with ByteBar(f"Writing {output.name}", index.size_bytes, already=min(done, index.size_bytes)) as bar:
            files = writer.finish(bar.advance)
        for path in set(old) - {path for path, _ in files}:
            path.unlink()
        checksums = output.with_name(f"{output.name}.sha256")
        write_atomically(checksums, "".join(f"{digest}  {path.name}\n" for path, digest in files).encode())
        created = CreatedBundle(index, index_record(members).sha256, files, checksums)
        shutil.rmtree(folder)
        output.with_name(f".{output.name}.lock").unlink(missing_ok=True)
    return created


@contextmanager
def _working_folder(output: Path) -> Iterator[Path]:
    """Beside the output, for one process at a time; stays after a failure, to go on from."""
    folder = output.with_name(f".{output.name}.work")
    folder.mkdir(exist_ok=True)
    guard = FileLock(output.with_name(f".{output.name}.lock"))
    try:
        guard.acquire(timeout=0)
    except Timeout:
        raise EnvironmentProblem(
            f"Another process is writing {output}", next_step="Wait for it, or name another file."
        ) from None
    try:
        yield folder
    finally:
        guard.release()


def _planned(
    request: BundleRequest,
    identity: str,
    settings: Settings,
    store: Store,
    folder: Path,
    report: Callable[[str], None],
) -> BundleIndex:
    """The index of an earlier attempt at the same bundle, or of one that is gathered now."""
    plan = folder / PLAN
    known = json.loads(plan.read_bytes()) if plan.is_file() else {}
    if known.get("identity") != identity:
        if known:
            report("What this bundle is made of has changed since the last attempt: it begins anew.")
        shutil.rmtree(folder)
        (folder / MEMBERS).mkdir(parents=True)
        known = {"identity": identity, "created_at": datetime.now(UTC).replace(microsecond=0).isoformat()}
        write_atomically(plan, json.dumps(known).encode())
    if known.get("is_gathered"):
        return read_index((folder / MEMBERS / INDEX).read_bytes())
    index = gather(request, datetime.fromisoformat(known["created_at"]), settings, store, folder / MEMBERS, report)
    write_atomically(plan, json.dumps(known | {"is_gathered": True}).encode())
    return index


def _entries(index: BundleIndex, folder: Path, request: BundleRequest, store: Store) -> tuple[Entry, ...]:
    """Every member with where its bytes are: gathered, in the folder of wheels, or in the store."""
    first = index_record(folder)
    entries = [Entry(INDEX, first.size_bytes, first.sha256, Content(folder / INDEX))]
    if index.is_signed:
        path = folder / SIGNATURE
        entries.append(Entry(SIGNATURE, path.stat().st_size, hash_file(path), Content(path)))
    for member in index.members:
        entries.append(
            Entry(member.path, member.size_bytes, member.sha256, Content(_place(member.path, folder, request, store)))
        )
    return tuple(entries)


def _place(path: str, folder: Path, request: BundleRequest, store: Store) -> Path:
    top, _, rest = path.partition("/")
    if (folder / path).is_file():
        return folder / path
    if top == WHEELS and request.wheels and request.wheels.folder:
        return request.wheels.folder / rest
    assert top == STORE, f"{path} was gathered"
    return store.root / rest


def _existing(output: Path) -> list[Path]:
    """Files of an earlier bundle of this name."""
    numbered = re.compile(re.escape(output.name) + r"(\.\d{3,})?")
    return sorted(path for path in output.parent.glob(f"{output.name}*") if numbered.fullmatch(path.name))


def _identity(
    request: BundleRequest,
    config: DeploymentConfig,
    artifacts: list[Artifact],
    store: Store,
    part_bytes: int | None,
    level: int,
) -> str:
    """A digest over all that decides the archive's bytes: where it differs, an earlier attempt is of no use."""
    files = [request.config, request.lock, *request.extra, *([request.values] if request.values else [])]
    files += [file.source for file in config_files(config, request.config)]
    for artifact in artifacts:
        files.append(artifact.path / LINEAGE_FILE)
        files += sorted(store.verdict_folder(artifact.id).glob("*.json"))
        files += [one.path for one in signatures(store, artifact)]
    if request.signer is not None:
        files += [path for path in (request.signer.key, request.signer.certificate, *request.signer.chain) if path]
    if request.wheels is not None and request.wheels.folder is not None:
        files += sorted(request.wheels.folder.glob("*.whl"))
    digests = [(path.name, hash_file(path)) for path in files if path.is_file()]
    # Keys are among the files; a password has no place in what is written down.
    asked = asdict(replace(request, signer=None)) | {"is_signed": request.signer is not None}
    said = json.dumps([asked, digests, part_bytes, level], default=str, sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()
