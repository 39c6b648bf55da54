"""Pull: resolve, check, fetch under verification, import, probe, add to the store, lock."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from freehold.core.errors import OfflineError
from freehold.core.hub.disk import check_disk
from freehold.core.hub.gguf import import_gguf
from freehold.core.hub.lockfile import (
    LOCK_FILE,
    LockedModel,
    check_promises,
    check_received,
    require_locked,
    update_lock,
)
from freehold.core.hub.path import KIND as PATH
from freehold.core.hub.permission import Permission
from freehold.core.hub.receive import Receiver
from freehold.core.hub.selection import Allowed, Selection, check_remote_code, select
from freehold.core.hub.snapshot import RemoteFile, Snapshot
from freehold.core.hub.sources import Request, open_request
from freehold.core.policy import policies_here
from freehold.core.probe.reference import try_probe_reference
from freehold.core.progress import ByteBar, hint, human_bytes, phase
from freehold.core.quiet import quiet_libraries
from freehold.core.settings import Settings
from freehold.core.store import Artifact, FileRecord, Lineage, ProbeReference, SourceRecord, Staging, Step, Store
from freehold.core.store.digest import content_digest, hash_file
from freehold.core.store.lineage import artifact_id

GGUF_GROWTH = 5
"""A 4-bit GGUF becomes at most about this many times as large in bfloat16; used to ask for disk beforehand."""


@dataclass(frozen=True)
class PullOptions:
    """How to pull; the defaults are the safe ones."""

    lock_file: Path = field(default_factory=lambda: Path(LOCK_FILE))
    locked: bool = False
    """Refuse any difference from the lock."""
    name: str | None = None
    """Name of the artifact; None derives it from the model."""
    gguf: str | None = None
    """Which GGUF file of a repository that holds several."""
    allowed: Allowed = field(default_factory=Allowed)
    allow_unverified_tokenizer: bool = False
    probe: bool = True
    """Compute the golden-probe reference."""


def pull(model: str, options: PullOptions, settings: Settings, store: Store) -> Artifact:
    """Bring a model into the store and return its artifact; at once if it is there already.

    What is locked and there is not asked for again: whoever starts anew needs no hub. A reference of the golden probe
    that could not be computed before is tried again.
    """
    permission = Permission(policies_here(settings), store)
    request = open_request(model, settings)
    locked = require_locked(options.lock_file, request.model) if options.locked else None
    if locked and (artifact := _as_locked(store, locked, options)):
        permission.stored(artifact)
        hint(f"{artifact.id} is in the store already, as locked.")
        _finish_lock(artifact, request, options, locked)
        return _with_probe(artifact, store, options)
    if locked and locked.kind == "hub":
        request = open_request(request.model, settings, revision=locked.commit)
    if settings.offline and request.kind == "hub":
        return _from_store(request, locked, options, store, permission)
    snapshot = request.source.resolve()
    if locked:
        check_promises(options.lock_file, locked, _only_locked(snapshot, locked))
    key = snapshot.key + (f"#{options.gguf}" if options.gguf else "")
    with store.staging(key, on_wait=lambda: hint("Another process is pulling this model; waiting for it …")) as staging:
        artifact = _already_there(store, snapshot.key, options)
        if artifact:
            permission.stored(artifact)
            hint(f"{artifact.id} is in the store already.")
            staging.discard()
            artifact = _with_probe(artifact, store, options)
        else:
            artifact = _fetch_and_add(request, snapshot, options, locked, store, staging, permission)
    _finish_lock(artifact, request, options, locked)
    return artifact


def _from_store(
    request: Request, locked: LockedModel | None, options: PullOptions, store: Store, permission: Permission
) -> Artifact:
    """What `--offline` can give: an artifact of the same place and revision that was pulled before."""
    wanted = locked.commit if locked else request.revision
    for artifact in reversed(store.artifacts()):
        source = artifact.lineage.source
        same_place = source is not None and (source.kind, source.location) == (request.kind, request.location)
        if source and same_place and wanted in (None, source.commit, source.revision):
            permission.stored(artifact)
            _finish_lock(artifact, request, options, locked)
            return artifact
    raise OfflineError(
        f"{request.location}{f'@{wanted}' if wanted else ''} is not in the store",
        why="--offline opens no connection",
        next_step="Pull it once without --offline, or from a `freehold mirror` inside your network, or from a folder.",
    )


def _as_locked(store: Store, locked: LockedModel, options: PullOptions) -> Artifact | None:
    """What cannot have changed since it was locked; a folder can."""
    if locked.kind == PATH:
        return None
    key = SourceRecord(kind=locked.kind, location=locked.location, commit=locked.commit).key
    return _already_there(store, key, options)


def _already_there(store: Store, key: str, options: PullOptions) -> Artifact | None:
    for artifact in reversed(store.artifacts()):
        source = artifact.lineage.source
        if not source or source.key != key or (options.name and artifact.name != options.name):
            continue
        if not set(options.allowed.names) <= set(artifact.lineage.allowed):
            continue  # what is allowed now was left out then
        names = {Path(record.path).name for record in source.files}
        if options.gguf is None or Path(options.gguf).name in names:
            return artifact
    return None


def _fetch_and_add(
    request: Request,
    snapshot: Snapshot,
    options: PullOptions,
    locked: LockedModel | None,
    store: Store,
    staging: Staging,
    permission: Permission,
) -> Artifact:
    selection = select(snapshot, options.allowed, options.gguf)
    permission.offered(snapshot, selection)
    for file in selection.left_out:
        if file.size_bytes > 1 << 20:
            hint(f"Left out {file.path} ({human_bytes(file.size_bytes)}): another format of the same weights.")
    received = _fetch(request, snapshot, selection, options, staging)
    if locked:
        check_received(options.lock_file, locked, received)
    steps, license_id = _build_result(staging, selection, received, options)
    license_id = snapshot.license or license_id
    files = received if not steps else _hash_folder(staging.result)
    probe = _probe(staging.result, options)
    name = options.name or request.artifact_name
    source = SourceRecord(
        kind=snapshot.kind,
        location=snapshot.location,
        revision=snapshot.revision,
        commit=snapshot.commit,
        files=received,
    )
    lineage = Lineage(
        id=artifact_id(name, files),
        name=name,
        digest=content_digest(files),
        source=source,
        steps=steps,
        allowed=options.allowed.names,
        license=license_id,
        files=files,
        probe=probe,
    )
    permission.fetched(lineage, staging.result)
    return store.add(staging, lineage)


def _fetch(
    request: Request, snapshot: Snapshot, selection: Selection, options: PullOptions, staging: Staging
) -> tuple[FileRecord, ...]:
    receiver = Receiver(staging.download)
    missing = receiver.missing_bytes(selection.files)
    total = sum(file.size_bytes for file in selection.files)
    room = missing + (selection.gguf.size_bytes * GGUF_GROWTH if selection.gguf else 0)
    check_disk(staging.root, room)
    with ByteBar(f"Pulling {request.location}", total, already=total - missing) as bar:
        small = _fetch_group(request, snapshot, selection.small, receiver, bar)
        check_remote_code(staging.download, request.location, options.allowed)
        large = _fetch_group(request, snapshot, selection.large, receiver, bar)
    return tuple(sorted(small + large, key=lambda record: record.path))


def _fetch_group(
    request: Request, snapshot: Snapshot, files: tuple[RemoteFile, ...], receiver: Receiver, bar: ByteBar
) -> tuple[FileRecord, ...]:
    return request.source.fetch(snapshot, files, receiver, bar) if files else ()


def _build_result(
    staging: Staging, selection: Selection, received: tuple[FileRecord, ...], options: PullOptions
) -> tuple[tuple[Step, ...], str]:
    """Put the artifact's files into `staging.result`; the download stays whole until the artifact is in the store."""
    Staging(staging.result).discard()
    staging.result.mkdir(parents=True)
    if selection.gguf:
        with phase(f"Importing {selection.gguf.path} (dequantizing to bfloat16)"), quiet_libraries():
            step, license_id = import_gguf(
                staging.download / selection.gguf.path,
                staging.result,
                allow_unverified_tokenizer=options.allow_unverified_tokenizer,
            )
        return (step,), license_id
    for record in received:
        target = staging.result / record.path
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(staging.download / record.path, target)
    return (), ""


def _hash_folder(folder: Path) -> tuple[FileRecord, ...]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return tuple(
        FileRecord(path=path.relative_to(folder).as_posix(), size_bytes=path.stat().st_size, sha256=hash_file(path))
        for path in paths
    )


def _probe(folder: Path, options: PullOptions) -> ProbeReference:
    if not options.probe:
        return ProbeReference(status="not-computed", reason="skipped by --no-probe")
    with phase("Computing the golden-probe reference (transformers, float32)"), quiet_libraries():
        reference = try_probe_reference(folder, allow_remote_code=options.allowed.remote_code)
    if reference.status != "computed":
        hint(f"{reference.reason}.")
    return reference


def _with_probe(artifact: Artifact, store: Store, options: PullOptions) -> Artifact:
    """With its reference, if that is to be had now: on a machine with more memory, or with torch."""
    if not options.probe or artifact.lineage.probe.status == "computed":
        return artifact
    reference = _probe(artifact.path, options)
    if reference == artifact.lineage.probe:
        return artifact
    return store.update_lineage(artifact, artifact.lineage.model_copy(update={"probe": reference}))


def _only_locked(snapshot: Snapshot, locked: LockedModel) -> Snapshot:
    """The snapshot without what a pull leaves out; a file that is new at the source still shows by the commit."""
    names = {record.path for record in locked.files}
    return Snapshot(
        snapshot.kind,
        snapshot.location,
        snapshot.revision,
        snapshot.commit,
        tuple(file for file in snapshot.files if file.path in names),
    )


def _finish_lock(artifact: Artifact, request: Request, options: PullOptions, locked: LockedModel | None) -> None:
    source = artifact.lineage.source
    if source is None:
        return
    if locked:
        check_received(options.lock_file, locked, source.files)
        return
    update_lock(
        options.lock_file,
        request.model,
        LockedModel(
            kind=source.kind,
            location=source.location,
            revision=source.revision,
            commit=source.commit,
            files=source.files,
        ),
    )
