"""The Hub's JSON for repositories, trees and refs (https://huggingface.co/docs/hub/api)."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from freehold.core.store import FileRecord
from freehold.serve.mirror.blobs import BlobIds, git_object_id, is_lfs, lfs_pointer
from freehold.serve.mirror.catalogue import Repo, Revision

Json = dict[str, Any]


def model_info(revision: Revision, *, siblings: list[Json] | None) -> Json:
    """What `HfApi.model_info` reads; the counters that only a public hub has are zero."""
    lineage = revision.artifact.lineage
    created = _time(lineage.created_at)
    library = "peft" if lineage.kind == "adapter" else "transformers"
    info: Json = {
        "_id": lineage.digest[:24],
        "id": revision.repo,
        "modelId": revision.repo,
        "author": revision.repo.partition("/")[0] if "/" in revision.repo else None,
        "sha": revision.commit,
        "createdAt": created,
        "lastModified": created,
        "private": False,
        "gated": False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "library_name": library,
        "tags": [library, *([f"license:{lineage.license}"] if lineage.license else [])],
        "cardData": {"license": lineage.license} if lineage.license else {},
        "usedStorage": lineage.size_bytes,
    }
    return info if siblings is None else info | {"siblings": siblings}


def siblings(revision: Revision, blob_ids: BlobIds | None) -> list[Json]:
    """The files of a model; with their sizes and digests if `blob_ids` is given."""
    names: list[Json] = [{"rfilename": record.path} for record in revision.files.values()]
    if blob_ids is None:
        return names
    return [
        name | {"size": record.size_bytes, "blobId": blob_ids.find(revision, record)} | _lfs(record, "sha256")
        for name, record in zip(names, revision.files.values(), strict=True)
    ]


def tree(revision: Revision, below: str, blob_ids: BlobIds, *, recursive: bool, expand: bool) -> list[Json] | None:
    """Files and folders below a folder, by path; None when there is no such folder."""
    root = PurePosixPath(below)
    records = [record for record in revision.files.values() if root in PurePosixPath(record.path).parents]
    if below and not records:
        return None
    files = [record for record in records if recursive or PurePosixPath(record.path).parent == root]
    folders = {
        parent
        for record in records
        for parent in PurePosixPath(record.path).parents
        if root in parent.parents and (recursive or parent.parent == root)
    }
    entries = [_folder_entry(revision, str(folder), expand) for folder in folders]
    entries += [_file_entry(revision, record, blob_ids, expand) for record in files]
    return sorted(entries, key=lambda entry: str(entry["path"]))


def paths_info(revision: Revision, paths: Iterable[str], blob_ids: BlobIds, *, expand: bool) -> list[Json]:
    """The named files and folders; as at the Hub, unknown ones are left out."""
    entries = []
    for path in paths:
        record = revision.files.get(path)
        if record:
            entries.append(_file_entry(revision, record, blob_ids, expand))
        elif any(PurePosixPath(path) in PurePosixPath(known).parents for known in revision.files):
            entries.append(_folder_entry(revision, path, expand))
    return entries


def refs(repo: Repo) -> Json:
    return {
        "branches": [{"name": "main", "ref": "refs/heads/main", "targetCommit": repo.main.commit}],
        "converts": [],
        "tags": [
            {"name": name, "ref": f"refs/tags/{name}", "targetCommit": commit} for name, commit in repo.tags().items()
        ],
        "pullRequests": [],
    }


def _file_entry(revision: Revision, record: FileRecord, blob_ids: BlobIds, expand: bool) -> Json:
    entry: Json = {
        "type": "file",
        "oid": blob_ids.find(revision, record),
        "size": record.size_bytes,
        "path": record.path,
    }
    return entry | _lfs(record, "oid") | (_last_commit(revision) if expand else {})


def _folder_entry(revision: Revision, path: str, expand: bool) -> Json:
    # No git tree exists; the id only has to be stable and to differ from folder to folder.
    oid = git_object_id("tree", f"{revision.commit}/{path}".encode())
    entry: Json = {"type": "directory", "oid": oid, "size": 0, "path": path}
    return entry | (_last_commit(revision) if expand else {})


def _lfs(record: FileRecord, digest_key: str) -> Json:
    """The Hub calls the same digest `sha256` in one listing and `oid` in the other."""
    if not is_lfs(record):
        return {}
    return {
        "lfs": {digest_key: record.sha256, "size": record.size_bytes, "pointerSize": len(lfs_pointer(record))},
    }


def _last_commit(revision: Revision) -> Json:
    created = _time(revision.artifact.lineage.created_at)
    return {"lastCommit": {"id": revision.commit, "title": revision.artifact.id, "date": created}}


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")
